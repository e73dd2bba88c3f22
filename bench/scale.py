"""What grows with what: candidates, history, catalogue; and whole-catalogue ranking against one read of the table.

python -m bench.scale --bundle build/demo/bundle
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from app.contract.manifest import ITEM_TABLE_FILE
from bench.bare_model import BareModel
from bench.big_bundle import stretch_bundle
from bench.http_load import closed_loop, post_bytes
from bench.machine import machine_lines
from bench.served import Served, seqrank_served
from bench.workload import Workload

CANDIDATES = (10, 50, 100, 200, 500, 1000, 2000)
HISTORIES = (10, 25, 50, 100, 200)
CATALOGUES = (10_000, 100_000, 1_000_000)
SETTINGS = {"SEQRANK_TIMEOUT_MS": "10000", "SEQRANK_REDIS_TIMEOUT_MS": "1000"}


def p50_ms(served: Served, requests: list[bytes], seconds: float = 2.0) -> float:
    """Return the median of one client in a closed loop; refuse to measure answers that are not full ones."""
    outcome = asyncio.run(closed_loop(served.url, requests, clients=1, duration_s=seconds))
    if {*outcome.statuses} != {200} or any(outcome.degraded):
        raise RuntimeError(f"answers were refused or degraded: {sorted({*outcome.statuses})}")
    return outcome.percentile_ms(50)


def by_candidates(bundle: Path) -> dict[int, tuple[float, float]]:
    """Return candidates -> (service p50, bare p50) in milliseconds."""
    work, model = Workload(bundle), BareModel(bundle)
    points = {}
    with seqrank_served(bundle, environment=SETTINGS) as served:
        work.seed_histories(served.url)
        for candidates in CANDIDATES:
            if candidates <= work.manifest.item_count:
                walls, _ = model.latencies_s(work.model_inputs(candidates), 200)
                points[candidates] = (p50_ms(served, work.rank_requests(candidates)), median(walls) * 1e3)
    return points


def by_history(bundle: Path) -> dict[int, float]:
    """Return events sent in the request's place of a stored history -> service p50 in milliseconds."""
    points = {}
    with seqrank_served(bundle, environment=SETTINGS) as served:
        for events in HISTORIES:
            work = Workload(bundle, users=16, events=events)
            work.seed_histories(served.url)
            points[events] = p50_ms(served, work.rank_requests(100))
            for user in work.users:
                work.forget(served.url, user)
    return points


def table_read_ms(table: np.ndarray) -> float:
    """Return the milliseconds of reading the table once from memory on one thread (a sum over its bytes)."""
    flat = table.reshape(-1).view(np.uint64 if table.nbytes % 8 == 0 else np.uint8)
    walls = []
    for _ in range(7):
        started_s = time.perf_counter()
        np.bitwise_or.reduce(flat)
        walls.append(time.perf_counter() - started_s)
    return median(walls) * 1e3


def by_catalogue(bundle: Path) -> list[str]:
    """Return table rows: catalogue, ready after, resident memory, 100 candidates, whole catalogue, one table read."""
    rows = []
    for items in CATALOGUES:
        with tempfile.TemporaryDirectory(prefix="seqrank-scale-") as folder:
            big = stretch_bundle(bundle, Path(folder) / "bundle", items)
            table = np.load(big / ITEM_TABLE_FILE)
            read_ms, table_mb = table_read_ms(table), table.nbytes / 1e6
            del table
            work = Workload(big, users=16)
            ids_mb = sum(map(len, work.item_ids)) / 1e6
            whole = [post_bytes("/rank", json.dumps({"user": user, "top_k": 20}).encode()) for user in work.users]
            with seqrank_served(big, environment=SETTINGS) as served:
                work.seed_histories(served.url)
                some_ms, all_ms = p50_ms(served, work.rank_requests(100)), p50_ms(served, whole, 4.0)
                rows.append(
                    f"| {items:,} | {served.ready_after_s:.2f} | {served.resident_mb():.0f} | {table_mb:.0f} "
                    f"| {ids_mb:.1f} | {some_ms:.2f} | {all_ms:.2f} | {read_ms:.2f} | {all_ms / read_ms:.1f} |"
                )
            print(rows[-1], flush=True)
    return rows


def draw(candidates: dict[int, tuple[float, float]], histories: dict[int, float], path: Path) -> None:
    """Draw cost against candidates and history."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    left.plot(list(candidates), [both[0] for both in candidates.values()], marker="o", label="/rank")
    left.plot(list(candidates), [both[1] for both in candidates.values()], marker="o", label="bare ONNX Runtime")
    left.set(xlabel="candidates", ylabel="p50 ms", ylim=(0, None))
    left.legend()
    right.plot(list(histories), list(histories.values()), marker="o")
    right.set(xlabel="stored events", ylabel="p50 ms, 100 candidates", ylim=(0, None))
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> int:
    """Measure and write ``docs/results/scale.md`` with its plot."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--bundle", type=Path, default=Path("build/demo/bundle"))
    parser.add_argument("--output", type=Path, default=Path("docs/results/scale.md"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="seqrank-scale-") as folder:
        medium = stretch_bundle(arguments.bundle, Path(folder) / "bundle", 20_000)
        candidates, histories = by_candidates(medium), by_history(medium)
    lines = [
        "# Scale",
        "",
        f"`python -m bench.scale --bundle …` · {machine_lines('uvicorn')}",
        "",
        "| candidates | /rank p50 ms | bare p50 ms |",
        "|---|---|---|",
        *(f"| {count} | {ours:.2f} | {bare:.2f} |" for count, (ours, bare) in candidates.items()),
        "",
        "| stored events | /rank p50 ms, 100 candidates |",
        "|---|---|",
        *(f"| {count} | {ours:.2f} |" for count, ours in histories.items()),
        "",
        f"![cost]({arguments.output.stem}.png)",
        "",
        "| items | ready s | resident MB | table MB | ids MB | 100 items ms | all ms | one table read ms | ratio |",
        "|---|---|---|---|---|---|---|---|---|",
        *by_catalogue(arguments.bundle),
    ]
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text("\n".join(lines) + "\n", "utf-8")
    draw(candidates, histories, arguments.output.with_suffix(".png"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
