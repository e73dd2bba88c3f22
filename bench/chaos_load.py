"""Chaos from the callers: three times saturation, and a thousand clients that leave in mid-request."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from bench.chaos_leavers import leavers
from bench.chaos_report import Verdict
from bench.http_load import closed_loop, open_loop
from bench.served import Served, seqrank_served
from bench.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TIMEOUT_MS = 100
SATURATING = 12
"""Callers who keep the service busy and are few enough for it to refuse none of them."""

SATURATION_S = 4.0


def load_scenarios(bundle: Path, seconds: float = 30.0) -> Iterator[Verdict]:
    """Yield a verdict for the flood and one for the leavers."""
    work, environment = Workload(bundle), {"SEQRANK_TIMEOUT_MS": str(TIMEOUT_MS)}
    with seqrank_served(bundle, environment=environment) as served:
        work.seed_histories(served.url)
        yield leavers(served, work)
    with seqrank_served(bundle, environment=environment) as served:
        work.seed_histories(served.url)
        yield flood(served, work, seconds)


def flood(served: Served, work: Workload, seconds: float) -> Verdict:
    """Offer three times saturation; nothing but 200, 429 and 503 comes back, and what is accepted is in time.

    Goodput is compared with the mean of saturation before and after, for a shared machine is not the same all the time.
    """
    verdict, requests = Verdict(f"3 × saturation for {seconds:.0f} s"), work.rank_requests(100)
    before = asyncio.run(closed_loop(served.url, requests, clients=SATURATING, duration_s=SATURATION_S)).rate()
    before_mb = served.resident_mb()
    hurt = asyncio.run(open_loop(served.url, requests, rate=3 * before, duration_s=seconds, polls=False))
    time.sleep(1.0)
    after = asyncio.run(closed_loop(served.url, requests, clients=1, duration_s=1.0))
    grown = served.resident_mb() / before_mb - 1.0
    again = asyncio.run(closed_loop(served.url, requests, clients=SATURATING, duration_s=SATURATION_S)).rate()
    saturation = (before + again) / 2
    goodput, p99_ms = hurt.rate(200), hurt.percentile_ms(99)
    verdict.facts = {
        "saturation before and after": f"{before:.0f}/s, {again:.0f}/s",
        "goodput": f"{goodput:.0f}/s",
        "refused": f"{hurt.rate(429):.0f}/s",
        "accepted p99": f"{p99_ms:.0f} ms",
        "a second later p50": f"{after.percentile_ms(50):.1f} ms",
        "memory": f"{grown:+.1%}",
    }
    other = {*hurt.statuses} - {200, 429, 503}
    verdict.expect(not other, f"statuses {sorted(other)} came back")
    verdict.expect(goodput >= 0.8 * saturation, f"goodput was {goodput / saturation:.0%} of saturation")
    verdict.expect(p99_ms <= TIMEOUT_MS, f"accepted p99 was {p99_ms:.0f} ms")
    verdict.expect(grown <= 0.05, f"memory grew by {grown:.1%}")
    return verdict
