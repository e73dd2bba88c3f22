"""A thousand clients that leave in mid-request, beside neighbours whose answers are compared with a calm service's."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.chaos_report import Verdict
from bench.http_load import LoadClient
from bench.workload import get_text

if TYPE_CHECKING:
    from bench.served import Served
    from bench.workload import Workload

LEAVERS = 1000
WAVE = 100
"""So many come at once: more than are let in, so that some neighbours are refused, and others are not."""

WAVE_S = 0.2
"""Between two waves."""

NEIGHBOURS = 32
CALLERS = 8
STAY_S = 0.0005
"""Leavers stay for 0 to 4 times this long after their request is sent."""

IDLE_GAUGES = ("seqrank_queue_size", "seqrank_runs_under_way")


def leavers(served: Served, work: Workload) -> Verdict:
    """Let a thousand callers leave; whoever stays gets the list of a calm service, or is told that it is not one.

    A refusal (429) or a list that says ``degraded`` is no wrong answer and is counted apart. Afterwards nothing of
    those who left may remain: no open socket, nobody in line, no run.
    """
    verdict = Verdict(f"{LEAVERS} clients that disconnect")
    requests = work.rank_requests(100, NEIGHBOURS, timestamp=work.now_ms)
    calm = asyncio.run(_answers(served.url, requests))
    verdict.expect(all(status == 200 for status, _ in calm), "the calm service did not answer every request with 200")
    if verdict.failures:
        return verdict
    expected = [_list_of(body) for _, body in calm]
    sockets_before = open_sockets(served)
    crowded = asyncio.run(_crowded(served.url, requests))
    asyncio.run(asyncio.sleep(1.0))
    settled = asyncio.run(_answers(served.url, requests))
    asyncio.run(asyncio.sleep(0.5))
    leaked = open_sockets(served) - sockets_before
    seen = Counter(_kind(status, body, expected[place]) for place, status, body in crowded)
    still = Counter(_kind(status, body, expected[place]) for place, (status, body) in enumerate(settled))
    verdict.facts = {
        "neighbours' answers": str(len(crowded)),
        **{kind: str(count) for kind, count in sorted(seen.items())},
        "afterwards": ", ".join(f"{count} {kind}" for kind, count in sorted(still.items())),
        "sockets left": str(leaked),
    }
    wrong = seen["wrong lists"] + still["wrong lists"]
    verdict.expect(wrong == 0, f"{wrong} lists were wrong and did not say so")
    other = [kind for kind in seen if kind.startswith("status")]
    verdict.expect(not other, f"neighbours got {', '.join(other)}")
    verdict.expect(still["right"] == NEIGHBOURS, "a second later not every answer was right again")
    verdict.expect(leaked <= 0, f"{leaked} sockets are still open")
    busy = [name for name in IDLE_GAUGES if gauge(served.url, name) != 0.0]
    verdict.expect(not busy, f"{', '.join(busy)} did not return to 0")
    return verdict


async def _answers(url: str, requests: list[bytes]) -> list[tuple[int, bytes]]:
    client = LoadClient(url)
    answers = [await client.send(request) for request in requests]
    client.close()
    return answers


async def _crowded(url: str, requests: list[bytes]) -> list[tuple[int, int, bytes]]:
    """Ask again and again while the leavers come and go; return (which request, status, body) of every answer."""
    going = asyncio.gather(
        *(leave(url, requests[k % len(requests)], k // WAVE * WAVE_S, STAY_S * (k % 5)) for k in range(LEAVERS))
    )
    client, seen = LoadClient(url), list[tuple[int, int, bytes]]()

    async def neighbour(place: int) -> None:
        while not going.done() or len(seen) < len(requests):
            status, body = await client.send(requests[place])
            seen.append((place, status, body))
            place = (place + CALLERS) % len(requests)

    await asyncio.gather(*(neighbour(place) for place in range(CALLERS)))
    await going
    client.close()
    return seen


async def leave(url: str, request: bytes, comes_after_s: float, stays_s: float) -> None:
    """Send a request and close the connection before its answer."""
    host, _, port = url.removeprefix("http://").partition(":")
    await asyncio.sleep(comes_after_s)
    try:
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(request)
        await writer.drain()
        await asyncio.sleep(stays_s)
        writer.transport.abort()
    except OSError:
        pass


def _kind(status: int, body: bytes, expected: list[Any]) -> str:
    """Name what an answer is."""
    if status == 429:
        return "refused (429)"
    if status != 200:
        return f"status {status}"
    if json.loads(body)["degraded"]:
        return "degraded"
    return "right" if _list_of(body) == expected else "wrong lists"


def _list_of(body: bytes) -> list[Any]:
    """Return the list of an answer without what may differ between two equal requests (times, generated id)."""
    return [(item["item"], item["score"], item["rank"]) for item in json.loads(body).get("items", [])]


def open_sockets(served: Served) -> int:
    """Return how many sockets the service's processes hold."""
    return sum(
        str(link.readlink()).startswith("socket:")
        for pid in served.pids()
        for link in Path(f"/proc/{pid}/fd").iterdir()
    )


def gauge(url: str, name: str) -> float:
    """Return one metric without labels; NaN if there is none."""
    for line in get_text(url + "/metrics").splitlines():
        if line.startswith(name + " "):
            return float(line.split()[1])
    return float("nan")
