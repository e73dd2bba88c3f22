"""All cores: `--workers N` against as many bare ONNX Runtime loops, both pinned beside the load generator.

python -m bench.workers --bundle build/demo/bundle --workers 2
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import re
import sys
import time
import urllib.request
from pathlib import Path
from statistics import median

from bench.bare_model import BareModel
from bench.http_load import closed_loop
from bench.machine import machine_lines
from bench.served import Served, seqrank_served
from bench.workload import Workload

CANDIDATES = 100
ROUNDS = 5
ROUND_S = 3.0
CLIENTS_A_WORKER = 32
"""As in `bench.overhead`: with 8 a worker is not saturated."""


def bare_loop(bundle: Path, cores: set[int], seconds: float) -> int:
    """Run the bare model for some seconds on given cores; return how many requests it scored."""
    os.sched_setaffinity(0, cores)
    feeds, model = Workload(bundle).model_inputs(CANDIDATES), BareModel(bundle)
    for feed in feeds:
        model.run(feed)
    runs, ends_s = 0, time.perf_counter() + seconds
    while time.perf_counter() < ends_s:
        model.run(feeds[runs % len(feeds)])
        runs += 1
    return runs


def bare_rate(bundle: Path, cores: set[int], loops: int) -> float:
    """Return requests a second of ``loops`` processes side by side."""
    with multiprocessing.get_context("spawn").Pool(loops) as pool:
        return sum(pool.starmap(bare_loop, [(bundle, cores, ROUND_S)] * loops)) / ROUND_S


def lists_counted(served: Served) -> float:
    """Return the lists that ``/metrics`` counts, over all workers."""
    with urllib.request.urlopen(served.url + "/metrics", timeout=10) as answer:  # noqa: S310 -- our own loopback
        text = answer.read().decode()
    return sum(float(count) for count in re.findall(r"^seqrank_rank_requests_total\{.*\} (\S+)$", text, re.MULTILINE))


def measure(served: Served, work: Workload, bundle: Path, cores: set[int], workers: int) -> dict[str, float]:
    """Alternate bare loops and the service; return medians, and whether metrics add up."""
    requests = work.rank_requests(CANDIDATES)
    bare, ours, busy, answered = [], [], [], 0
    counted_before = lists_counted(served)
    for _ in range(ROUNDS):
        bare.append(bare_rate(bundle, cores, workers))
        cpu_s = served.cpu_seconds()
        clients = CLIENTS_A_WORKER * workers
        outcome = asyncio.run(closed_loop(served.url, requests, clients=clients, duration_s=ROUND_S))
        busy.append((served.cpu_seconds() - cpu_s) / outcome.duration_s)
        ours.append(outcome.rate())
        answered += outcome.count(200)
    return {
        "bare": median(bare),
        "ours": median(ours),
        "share": median(one / floor for one, floor in zip(ours, bare, strict=True)),
        "busy": median(busy),
        "answered": answered,
        "counted": lists_counted(served) - counted_before,
    }


def main() -> int:
    """Measure and write ``docs/results/workers.md``."""
    parser = argparse.ArgumentParser(prog="python -m bench.workers", description=__doc__)
    parser.add_argument("--bundle", type=Path, default=Path("build/demo/bundle"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("docs/results/workers.md"))
    arguments = parser.parse_args()
    everything = sorted(os.sched_getaffinity(0))
    theirs, own = set(everything[: arguments.workers]), set(everything[arguments.workers :])
    work = Workload(arguments.bundle)
    os.sched_setaffinity(0, theirs)
    with seqrank_served(
        arguments.bundle, workers=arguments.workers, environment={"SEQRANK_TIMEOUT_MS": "5000"}
    ) as served:
        os.sched_setaffinity(0, own or theirs)
        work.seed_histories(served.url)
        row = measure(served, work, arguments.bundle, theirs, arguments.workers)
    lines = [
        "# All cores",
        "",
        f"`python -m bench.workers --bundle … --workers {arguments.workers}` · {machine_lines('uvicorn')}",
        "",
        (
            f"{CANDIDATES} candidates, {work.events} events. Service, its store and the bare loops are pinned to "
            f"{len(theirs)} cores, the load generator to the other {len(own)}; medians of {ROUNDS} alternating rounds."
        ),
        "",
        "| bare loops/s | answers/s | share | cores busy | answered | counted by /metrics |",
        "|---|---|---|---|---|---|",
        (
            f"| {row['bare']:.0f} | {row['ours']:.0f} | **{row['share']:.0%}** | {row['busy']:.2f} "
            f"| {row['answered']:.0f} | {row['counted']:.0f} |"
        ),
    ]
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text("\n".join(lines) + "\n", "utf-8")
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
