"""Chaos from the callers: three times saturation, and a thousand clients that leave in mid-request."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from bench.chaos_report import Verdict
from bench.http_load import LoadClient, closed_loop, open_loop
from bench.served import Served, seqrank_served
from bench.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TIMEOUT_MS = 100
LEAVERS = 1000


def load_scenarios(bundle: Path, seconds: float = 30.0) -> Iterator[Verdict]:
    """Yield a verdict for the flood and one for the leavers."""
    work = Workload(bundle)
    with seqrank_served(bundle, environment={"SEQRANK_TIMEOUT_MS": str(TIMEOUT_MS)}) as served:
        work.seed_histories(served.url)
        yield flood(served, work, seconds)
        yield leavers(served, work)


def flood(served: Served, work: Workload, seconds: float) -> Verdict:
    """Offer three times saturation; nothing but 200, 429 and 503 comes back, and what is accepted is in time."""
    verdict, requests = Verdict(f"3 × saturation for {seconds:.0f} s"), work.rank_requests(100)
    saturation = asyncio.run(closed_loop(served.url, requests, clients=32, duration_s=4.0)).rate()
    before_mb = served.resident_mb()
    hurt = asyncio.run(open_loop(served.url, requests, rate=3 * saturation, duration_s=seconds))
    time.sleep(1.0)
    after = asyncio.run(closed_loop(served.url, requests, clients=1, duration_s=1.0))
    grown = served.resident_mb() / before_mb - 1.0
    goodput, p99_ms = hurt.rate(200), hurt.percentile_ms(99)
    verdict.facts = {
        "saturation": f"{saturation:.0f}/s",
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


async def leave(url: str, request: bytes, after_s: float) -> None:
    """Send a request and close the connection before its answer."""
    client = LoadClient(url)
    _, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(request)
    await writer.drain()
    await asyncio.sleep(after_s)
    writer.transport.abort()


def leavers(served: Served, work: Workload) -> Verdict:
    """Let a thousand callers leave; their neighbours' answers are those of a calm service."""
    verdict, requests = (
        Verdict(f"{LEAVERS} clients that disconnect"),
        work.rank_requests(100, 32, timestamp=work.now_ms),
    )

    async def answers(client: LoadClient) -> list[bytes]:
        return [_items_of((await client.send(request))[1]) for request in requests]

    async def scenario() -> tuple[int, int]:
        client = LoadClient(served.url)
        calm = await answers(client)
        leaving = [asyncio.create_task(leave(served.url, requests[k % 32], 0.0005 * (k % 5))) for k in range(LEAVERS)]
        crowded = await answers(client)
        await asyncio.gather(*leaving, return_exceptions=True)
        settled = await answers(client)
        client.close()
        wrong = sum(a != b for a, b in zip(calm, crowded, strict=True))
        return wrong, sum(a != b for a, b in zip(calm, settled, strict=True))

    wrong, wrong_after = asyncio.run(scenario())
    verdict.facts = {"neighbours' answers that differ": str(wrong), "afterwards": str(wrong_after)}
    verdict.expect(wrong == 0 and wrong_after == 0, "a neighbour's list changed")
    return verdict


def _items_of(body: bytes) -> bytes:
    """Return the list of an answer without what may differ between two equal requests (times, generated id)."""
    start = body.find(b'"items"')
    return body[start : body.find(b"]", start)]
