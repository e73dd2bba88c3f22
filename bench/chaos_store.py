"""Chaos to the store itself: its disk full, its process stopped, one of three cluster nodes dead."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import tempfile
import time
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import redis

from bench.chaos_crash import Writer, lost_events, store_of, wait_for_store
from bench.chaos_redis import GRACE_MS, RATE, TIMEOUT_MS, seconds_until_full
from bench.chaos_report import Verdict
from bench.http_load import Outcome, open_loop
from bench.served import Served, seqrank_served
from bench.workload import Workload, get_json
from tests.integration.redis_servers import running_cluster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DISK_MB: Final = 32
BACK_WITHIN_S: Final = 5.0
"""Once there is room, or the cluster is whole: a restart of the store is part of it."""

MOST_REFUSED: Final = 0.05
"""Of the lists: reconnecting to a broken store is work for the event loop, which may refuse a few meanwhile."""

PROBES: Final = 32
"""Users whose events show that the store writes again; enough for every node of a cluster to have some."""

_ENVIRONMENT: Final = {"SEQRANK_TIMEOUT_MS": str(TIMEOUT_MS)}


def store_scenarios(bundle: Path, seconds: float) -> Iterator[Verdict]:
    """Yield a verdict for a full disk, for a stopped store and for a dead node of a cluster."""
    work = Workload(bundle)
    with tempfile.TemporaryDirectory(prefix="seqrank-disk-") as folder, small_disk(Path(folder)) as is_mounted:
        yield disk_full(bundle, work, Path(folder), seconds, is_mounted=is_mounted)
    with seqrank_served(bundle, environment=_ENVIRONMENT) as served:
        work.seed_histories(served.url)
        yield store_stopped(served, work, seconds)
    with (
        tempfile.TemporaryDirectory(prefix="seqrank-cluster-") as folder,
        running_cluster(Path(folder), "--appendonly", "yes", "--appendfsync", "always") as nodes,
    ):
        url = f"redis+cluster://127.0.0.1:{nodes[0].port}"
        with seqrank_served(bundle, environment={**_ENVIRONMENT, "SEQRANK_REDIS_URL": url}) as served:
            work.seed_histories(served.url)
            verdict = Verdict(f"one of three cluster nodes killed ({seconds:.0f} s)")
            yield hurt(verdict, served, work, seconds, begin=nodes[1].kill, end=nodes[1].start_again)


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """Mount a small file system on a folder; yield False where that is not allowed."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(folder)], check=False, capture_output=True
    )
    try:
        yield mounted.returncode == 0
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", "--lazy", str(folder)], check=False)


def disk_full(bundle: Path, work: Workload, folder: Path, seconds: float, *, is_mounted: bool) -> Verdict:
    """Leave no room for the append-only file; where nothing can be mounted, Valkey's memory limit stands in."""
    environment = {**_ENVIRONMENT, "SEQRANK_DATA_DIR": str(folder / "data")}
    socket, ballast = folder / "data" / "valkey.sock", folder / "ballast"

    def limit_memory(limit: str) -> None:
        with redis.Redis(unix_socket_path=str(socket)) as client:
            client.config_set("maxmemory", limit)

    def begin() -> None:
        if is_mounted:
            fill(ballast)
        else:
            limit_memory("1mb")

    def end() -> None:
        if is_mounted:
            ballast.unlink()
        else:
            limit_memory("0")

    kind = f"a {DISK_MB} MB disk is full" if is_mounted else "a memory limit stands for a full disk"
    with seqrank_served(bundle, environment=environment) as served:
        work.seed_histories(served.url)
        return hurt(Verdict(f"embedded store, {kind} ({seconds:.0f} s)"), served, work, seconds, begin=begin, end=end)


def fill(ballast: Path) -> None:
    """Write until there is no room left."""
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def store_stopped(served: Served, work: Workload, seconds: float) -> Verdict:
    """Stop the embedded store with SIGSTOP: connections stay open and nothing is answered."""
    store = store_of(served.process)
    return hurt(
        Verdict(f"embedded store stopped ({seconds:.0f} s)"), served, work, seconds,
        begin=lambda: os.kill(store, signal.SIGSTOP), end=lambda: os.kill(store, signal.SIGCONT),
    )  # fmt: skip


def hurt(
    verdict: Verdict, served: Served, work: Workload, seconds: float,
    *, begin: Callable[[], object], end: Callable[[], object],
) -> Verdict:  # fmt: skip
    """Hold a fault of the store under reads and writes: lists in time, refusals with a sentence, nothing lost."""
    requests = work.rank_requests(100)
    before, during, after = (Writer(served.url, work.item_ids, f"{name}-{time.time_ns()}") for name in "bda")
    before.start()
    time.sleep(1.0)
    before.finish()
    begin()
    during.start()
    outcome = asyncio.run(open_loop(served.url, requests, rate=RATE / 2, duration_s=seconds, polls=False))
    ready = get_json(served.url + "/health/ready")
    end()
    healed_s = time.monotonic()
    during.finish()
    wait_for_store(served.url, work.item_ids[0], users=PROBES)
    back_s = time.monotonic() - healed_s + seconds_until_full(served, requests[0])
    after.start()
    time.sleep(0.5)
    after.finish()
    acknowledged = [*before.acknowledged, *during.acknowledged, *after.acknowledged]
    lost = lost_events(served.url, acknowledged)
    _judge(verdict, outcome, during, back_s, lost)
    verdict.facts |= {"acknowledged before, during, after": "/".join(
        str(len(writer.acknowledged)) for writer in (before, during, after))}  # fmt: skip
    verdict.expect(bool(ready), "readiness answered nothing")
    verdict.expect(bool(before.acknowledged) and bool(after.acknowledged), "no event was acknowledged before or after")
    return verdict


def _judge(verdict: Verdict, outcome: Outcome, during: Writer, back_s: float, lost: int) -> None:
    p99_ms = outcome.percentile_ms(99, status=None)
    sentences = "; ".join(f"{count} × “{answer}”" for answer, count in during.refused.most_common(3))
    refused = outcome.count(429)
    verdict.facts = {
        "lists": str(len(outcome.statuses)),
        "refused (429)": str(refused),
        "degraded": str(sum(outcome.degraded)),
        "p99": f"{p99_ms:.1f} ms",
        "events refused": sentences or "none",
        "lost": str(lost),
        "well again after": f"{back_s:.2f} s",
    }
    others = Counter(status for status in outcome.statuses if status not in (200, 429))
    verdict.expect(not others, f"lists had other statuses than 200 and 429: {dict(others)}")
    most = MOST_REFUSED * len(outcome.statuses)
    verdict.expect(refused <= most, f"{refused} lists were refused, expected at most {MOST_REFUSED:.0%}")
    verdict.expect(p99_ms <= TIMEOUT_MS + GRACE_MS, f"p99 {p99_ms:.0f} ms is past {TIMEOUT_MS + GRACE_MS} ms")
    verdict.expect(lost == 0, f"{lost} acknowledged events are lost")
    named = all(answer.startswith(("503 ", "429 ")) for answer in during.refused)
    verdict.expect(named, "an event was refused with something else than 503 or 429")
    verdict.expect(back_s <= BACK_WITHIN_S, f"it was well again after {back_s:.1f} s")
