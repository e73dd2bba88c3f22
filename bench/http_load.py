"""A small HTTP/1.1 load generator: closed loop for medians, open loop (Poisson arrivals) for tails."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

CONNECTION_ERROR = 0
"""Stands in the list of status codes for a request that got no answer."""

TIMER_SLACK_S = 0.002
"""The event loop's timers wake up to this much late; the rest of a wait is spent polling."""


@dataclass(slots=True)
class Outcome:
    """What one run saw; the lists are parallel.

    Attributes:
        latencies_s: Seconds from the moment a request was *due* to its complete answer.
        statuses: HTTP status codes, `CONNECTION_ERROR` where the connection broke.
        finished_s: Seconds after the start of the run at which the answer was complete.
        degraded: Whether the answer said so.
        duration_s: The whole run.
    """

    latencies_s: list[float] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    finished_s: list[float] = field(default_factory=list)
    degraded: list[bool] = field(default_factory=list)
    duration_s: float = 0.0

    def percentile_ms(self, percent: float, status: int | None = 200) -> float:
        """Return a latency percentile in milliseconds of the answers with this status (None: all)."""
        chosen = [
            latency
            for latency, code in zip(self.latencies_s, self.statuses, strict=True)
            if status is None or code == status
        ]
        return float(np.percentile(chosen, percent) * 1e3) if chosen else float("nan")

    def count(self, status: int) -> int:
        """Return how many answers had this status."""
        return sum(code == status for code in self.statuses)

    def rate(self, status: int = 200) -> float:
        """Return answers with this status per second."""
        return self.count(status) / self.duration_s if self.duration_s else 0.0


class _Connection(asyncio.Protocol):
    """One keep-alive connection that carries one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.waiter: asyncio.Future[tuple[int, bytes]] | None = None
        self.buffer = bytearray()
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self.buffer[:end]).lower()
        length = _body_length(head, self.buffer, end + 4)
        if length is None or len(self.buffer) < end + 4 + length:
            return
        body = bytes(self.buffer[end + 4 : end + 4 + length])
        del self.buffer[: end + 4 + length]
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result((int(head[9:12]), body))

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_exception(exc or ConnectionResetError("the service closed the connection"))

    async def send(self, request: bytes) -> tuple[int, bytes]:
        """Send one request; return status and body."""
        assert self.transport is not None
        self.waiter = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self.waiter


def _body_length(head: bytes, buffer: bytearray, start: int) -> int | None:
    """Return how long the body is on the wire, or None while a chunked one has not ended."""
    _, found, rest = head.partition(b"content-length:")
    if found:
        return int(rest.partition(b"\r\n")[0])
    if b"transfer-encoding: chunked" in head:
        end = buffer.find(b"0\r\n\r\n", start)
        return end + 5 - start if end >= 0 else None
    return 0


class LoadClient:
    """Connections to one address, reused; opens as many as are needed at once."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "127.0.0.1", parts.port or 80
        self._idle: list[_Connection] = []

    async def send(self, request: bytes) -> tuple[int, bytes]:
        """Send one request on an idle connection; return status and body."""
        connection = self._idle.pop() if self._idle else None
        if connection is None or connection.closed:
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_connection(_Connection, self.host, self.port)
        status, body = await connection.send(request)
        self._idle.append(connection)
        return status, body

    def close(self) -> None:
        """Close every idle connection."""
        for connection in self._idle:
            if connection.transport is not None:
                connection.transport.close()
        self._idle.clear()


def post_bytes(path: str, body: bytes) -> bytes:
    """Return the bytes of one POST request with a JSON body."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _one(client: LoadClient, request: bytes, due_s: float, started_s: float, outcome: Outcome) -> None:
    try:
        status, body = await client.send(request)
    except (OSError, asyncio.IncompleteReadError):
        status, body = CONNECTION_ERROR, b""
    now_s = time.perf_counter()
    outcome.latencies_s.append(now_s - due_s)
    outcome.statuses.append(status)
    outcome.finished_s.append(now_s - started_s)
    outcome.degraded.append(b'"degraded":true' in body)


async def closed_loop(url: str, requests: Sequence[bytes], *, clients: int, duration_s: float) -> Outcome:
    """Run ``clients`` callers that each send the next request as soon as the last is answered."""
    client, outcome = LoadClient(url), Outcome()
    started_s = time.perf_counter()

    async def caller(first: int) -> None:
        position = first
        while time.perf_counter() - started_s < duration_s:
            await _one(client, requests[position % len(requests)], time.perf_counter(), started_s, outcome)
            position += clients

    await asyncio.gather(*(caller(first) for first in range(clients)))
    outcome.duration_s = time.perf_counter() - started_s
    client.close()
    return outcome


async def open_loop(
    url: str, requests: Sequence[bytes], *, rate: float, duration_s: float, seed: int = 7, grace_s: float = 5.0,
    polls: bool = True,
) -> Outcome:  # fmt: skip
    """Send at ``rate`` a second with Poisson arrivals, however slow the answers are.

    With ``polls`` the last `TIMER_SLACK_S` before a request is due is spent polling: sharp, but it takes a core away
    from the service. Without it requests are up to that late, and their latencies, counted from when they were due,
    say so.
    """
    slack_s = TIMER_SLACK_S if polls else 0.0
    client, outcome = LoadClient(url), Outcome()
    gaps = np.random.default_rng(seed).exponential(1.0 / rate, int(rate * duration_s * 1.2) + 10)
    due = np.cumsum(gaps)
    due = due[due < duration_s]
    tasks: set[asyncio.Task[None]] = set()
    started_s = time.perf_counter()
    for position, offset_s in enumerate(due):
        while (wait_s := started_s + offset_s - time.perf_counter()) > 0:  # noqa: ASYNC110 -- a precise timer
            await asyncio.sleep(wait_s - slack_s if wait_s > slack_s else 0)
        request = requests[position % len(requests)]
        task = asyncio.create_task(_one(client, request, started_s + offset_s, started_s, outcome))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    if tasks:
        _, unanswered = await asyncio.wait(tasks, timeout=grace_s)
        for task in unanswered:
            task.cancel()
    outcome.duration_s = duration_s
    client.close()
    return outcome
