"""What the service costs on top of the model: `/rank` against the bare ONNX Runtime call, alternating in one run.

python -m bench.overhead --bundle build/demo/bundle
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from statistics import median

import numpy as np

from bench.bare_model import BareModel
from bench.http_load import closed_loop
from bench.machine import machine_lines
from bench.served import Served, seqrank_served
from bench.workload import Workload

CANDIDATES = (20, 100, 500, 2000)
ROUNDS = 5
RUNS = 300
SATURATING_CLIENTS = 32
"""As in `bench.load`: with 8 a service answers a third fewer requests a second than with 32."""

SETTINGS = {"SEQRANK_TIMEOUT_MS": "5000", "SEQRANK_REDIS_TIMEOUT_MS": "1000"}
"""Nothing is given up however busy the machine is: a degraded answer costs less."""


def measure(served: Served, model: BareModel, work: Workload, candidates: int) -> dict[str, float]:
    """Alternate bare runs, one client, and eight clients; return medians over the rounds."""
    feeds, requests = work.model_inputs(candidates), work.rank_requests(candidates)
    bare_ms, bare_cpu_ms, served_ms, served_cpu_ms = [], [], [], []
    for _ in range(ROUNDS):
        walls, cpu_s = model.latencies_s(feeds, RUNS)
        bare_ms.append(median(walls) * 1e3)
        bare_cpu_ms.append(cpu_s * 1e3)
        alone = asyncio.run(closed_loop(served.url, requests, clients=1, duration_s=1.0))
        served_ms.append(alone.percentile_ms(50))
        before_s = served.cpu_seconds()
        busy = asyncio.run(closed_loop(served.url, requests, clients=SATURATING_CLIENTS, duration_s=2.0))
        if {*alone.statuses, *busy.statuses} != {200} or any(busy.degraded):
            raise RuntimeError("an answer was refused or degraded: the figures would not compare")
        served_cpu_ms.append((served.cpu_seconds() - before_s) / busy.count(200) * 1e3)
    row = {
        "bare_p50_ms": median(bare_ms),
        "rank_p50_ms": median(served_ms),
        "bare_cpu_ms": median(bare_cpu_ms),
        "rank_cpu_ms": median(served_cpu_ms),
    }
    row["p50_ratio"] = float(np.median(np.divide(served_ms, bare_ms)))
    row["cpu_ratio"] = float(np.median(np.divide(served_cpu_ms, bare_cpu_ms)))
    return row


def main() -> int:
    """Measure and write ``docs/results/overhead.md``."""
    parser = argparse.ArgumentParser(prog="python -m bench.overhead", description=__doc__)
    parser.add_argument("--bundle", type=Path, default=Path("build/demo/bundle"))
    parser.add_argument("--output", type=Path, default=Path("docs/results/overhead.md"))
    arguments = parser.parse_args()
    work, model = Workload(arguments.bundle), BareModel(arguments.bundle)
    lines = [
        "# Overhead of the service over the model",
        "",
        f"`python -m bench.overhead --bundle …` · {machine_lines('uvicorn', 'fastapi', 'msgspec')}",
        "",
        (
            f"{work.manifest.item_count} items, vectors of {work.manifest.vector_width}, {work.manifest.precision}, "
            f"{work.events} events a user, history length {work.manifest.history_length}. Medians of {ROUNDS} "
            f"alternating rounds; CPU of the service with {SATURATING_CLIENTS} clients, Redis server not counted."
        ),
        "",
        "| candidates | bare p50 ms | /rank p50 ms | ratio | bare CPU ms | /rank CPU ms | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    with seqrank_served(arguments.bundle, environment=SETTINGS) as served:
        work.seed_histories(served.url)
        for candidates in CANDIDATES:
            if candidates > work.manifest.item_count:
                continue
            row = measure(served, model, work, candidates)
            lines.append(
                f"| {candidates} | {row['bare_p50_ms']:.3f} | {row['rank_p50_ms']:.3f} | **{row['p50_ratio']:.2f}** "
                f"| {row['bare_cpu_ms']:.3f} | {row['rank_cpu_ms']:.3f} | **{row['cpu_ratio']:.2f}** |"
            )
            print(lines[-1], flush=True)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text("\n".join(lines) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
