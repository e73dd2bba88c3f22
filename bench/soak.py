"""Ten minutes of mixed traffic with changing shapes and new items: does memory grow, does the tail drift?

python -m bench.soak --bundle build/demo/bundle --minutes 10
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path

import numpy as np

from bench.http_load import LoadClient, Outcome, open_loop, post_bytes
from bench.machine import STOLEN_NOTE, StolenTime, machine_lines
from bench.served import Served, seqrank_served
from bench.workload import Workload

SHAPES = (5, 20, 50, 100, 200, 500, 1000, 2000)
RATE = 60.0
NEW_ITEMS_EVERY_S = 2.0
WARM_UP_MINUTES = 2


async def add_items(url: str, stop: asyncio.Event) -> int:
    """Put a few new items every two seconds, over a bounded set of ids; return how many were taken."""
    client, added = LoadClient(url), 0
    while not stop.is_set():
        items = [{"id": f"soak-{(added + k) % 400}", "text": f"soak item {added + k} in blue"} for k in range(4)]
        status, _ = await client.send(post_bytes("/items", json.dumps(items).encode()).replace(b"POST", b"PUT", 1))
        added += 4 * (status == 200)
        await asyncio.sleep(NEW_ITEMS_EVERY_S)
    client.close()
    return added


async def minute(served: Served, requests: list[bytes], seed: int) -> tuple[Outcome, int]:
    """Run one minute of ranking, feedback and new items."""
    stop = asyncio.Event()
    adding = asyncio.create_task(add_items(served.url, stop))
    outcome = await open_loop(served.url, requests, rate=RATE, duration_s=60.0, seed=seed)
    stop.set()
    return outcome, await adding


def mixed_requests(work: Workload) -> list[bytes]:
    """Return rank requests of every shape, whole-catalogue ones and feedback, shuffled."""
    requests = [request for shape in SHAPES for request in work.rank_requests(shape, 40)]
    for number in range(80):
        event = {"user": work.users[number % 64], "item": work.item_ids[number % len(work.item_ids)]}
        requests.append(post_bytes("/feedback", json.dumps(event).encode()))
        requests.append(post_bytes("/rank", json.dumps({"user": event["user"], "top_k": 20}).encode()))
    work.random.shuffle(requests)
    return requests


def report(rows: list[str], memory_mb: list[float], tails_ms: list[float]) -> list[str]:
    """Return the lines of the result, with memory slope and drift of the tail."""
    steady = memory_mb[WARM_UP_MINUTES:]
    slope = float(np.polyfit(np.arange(len(steady)), steady, 1)[0]) if len(steady) > 1 else float("nan")
    return [
        "# Soak",
        "",
        f"`python -m bench.soak --bundle … --minutes {len(rows)}` · {machine_lines('uvicorn')}",
        "",
        (
            f"{RATE:.0f} requests a second of {SHAPES} candidates, whole-catalogue ranking, feedback, and new items "
            f"all along. Memory slope after {WARM_UP_MINUTES} minutes: **{slope:+.2f} MB a minute**; p99 of the last "
            f"minute against the second: **{tails_ms[-1] / tails_ms[min(1, len(tails_ms) - 1)]:.2f} times**. "
            + STOLEN_NOTE
        ),
        "",
        "| minute | answers | not 200 | degraded | items added | p50 ms | p99 ms | resident MB | stolen |",
        "|---|---|---|---|---|---|---|---|---|",
        *rows,
    ]


def main() -> int:
    """Measure and write ``docs/results/soak.md``."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--bundle", type=Path, default=Path("build/demo/bundle"))
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--output", type=Path, default=Path("docs/results/soak.md"))
    arguments = parser.parse_args()
    work = Workload(arguments.bundle)
    rows, memory_mb, tails_ms = [], [], []
    with seqrank_served(arguments.bundle) as served:
        work.seed_histories(served.url)
        requests, stolen = mixed_requests(work), StolenTime()
        for number in range(arguments.minutes):
            started_s = time.monotonic()
            outcome, added = asyncio.run(minute(served, requests, seed=number))
            memory_mb.append(served.resident_mb())
            tails_ms.append(outcome.percentile_ms(99))
            bad = len(outcome.statuses) - outcome.count(200)
            rows.append(
                f"| {number + 1} | {len(outcome.statuses)} | {bad} | {sum(outcome.degraded)} | {added} "
                f"| {outcome.percentile_ms(50):.1f} | {tails_ms[-1]:.1f} | {memory_mb[-1]:.1f} "
                f"| {stolen.percent():.0f}% |"
            )
            print(rows[-1], f"({time.monotonic() - started_s:.0f} s)", flush=True)
    lines = report(rows, memory_mb, tails_ms)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text("\n".join(lines) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
