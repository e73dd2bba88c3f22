"""The hot read: many requests in flight on one Redis connection."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import hiredis

from app.errors import StorageUnavailable
from app.storage.redis_failures import reply_failure, storage_failure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Connect = Callable[[Callable[[], asyncio.Protocol]], Awaitable[tuple[asyncio.BaseTransport, Any]]]
    """Opens a transport for a protocol, as ``loop.create_connection`` does, within its own time limit."""

_ONE_LOOK_S: Final = 0.001
"""A timer of this length fires after the loop has read its sockets once."""

_PING: Final = b"*1\r\n$4\r\nPING\r\n"


class _Connection(asyncio.Protocol):
    """One open connection: writes commands, hands each reply to the oldest waiter."""

    def __init__(self) -> None:
        self._parser = hiredis.Reader()
        self._waiting: deque[tuple[asyncio.Future[Any], float]] = deque()
        self._unsent: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self.closed = False
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._parser.feed(data)
        try:
            while (reply := self._parser.gets()) is not False:
                future, _ = self._waiting.popleft()
                if not future.done():
                    future.set_result(reply)
        except (hiredis.ProtocolError, IndexError):
            self.close("Redis sent bytes that are no reply")

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.lost.set()
        self.close("Redis closed the connection")

    def send(self, command: bytes, now_s: float) -> asyncio.Future[Any]:
        """Send one command, together with others of this turn of the event loop; a write wakes the server each time.

        The future ends with its reply or `StorageUnavailable`.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        if self._transport is None or self.closed:
            future.set_exception(StorageUnavailable("could not read from Redis: the connection is closed"))
            return future
        self._waiting.append((future, now_s))
        self._unsent.append(command)
        if len(self._unsent) == 1:
            loop.call_soon(self._send_all)
        return future

    def _send_all(self) -> None:
        commands, self._unsent = self._unsent, []
        if self._transport is not None and not self.closed:
            self._transport.write(b"".join(commands))

    def oldest_wait_s(self, now_s: float) -> float:
        """Return for how long the oldest command has had no reply."""
        return now_s - self._waiting[0][1] if self._waiting else 0.0

    def close(self, reason: str) -> None:
        """Drop the connection and tell everyone who waits."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()
        while self._waiting:
            future, _ = self._waiting.popleft()
            if not future.done():
                future.set_exception(StorageUnavailable(f"could not read from Redis: {reason}"))


class PipelinedReader:
    """Reads from one Redis server over one shared connection, opened on demand.

    A pool costs each read a connection to itself and several task switches; here a read is one write to the socket and
    one future, and reads of concurrent requests share packets.

    Promise: every read ends in exactly one of its reply, `StorageUnavailable`, or its own cancellation. A caller that
    leaves never shifts a reply onto another: its place in the line stays and its reply is dropped. A connection whose
    oldest read waits longer than ``stalled_after_s`` is dropped, and the next read opens a new one; concurrent reads
    share that attempt.

    Args:
        connect: Opens the transport.
        handshake: Commands to send first (AUTH, SELECT), whose replies must not be errors.
        stalled_after_s: See above.

    Attributes:
        stalls: How many connections were dropped because a reply did not come.
    """

    def __init__(self, connect: Connect, *, handshake: tuple[bytes, ...] = (), stalled_after_s: float) -> None:
        self._connect = connect
        self._handshake = handshake
        self._stalled_after_s = stalled_after_s
        self._connection: _Connection | None = None
        self._opening: asyncio.Task[_Connection] | None = None
        self.stalls = 0

    async def get_two(self, first: bytes, second: bytes, *, timeout_s: float) -> tuple[bytes | None, bytes | None]:
        """Return the values of two string keys of one slot in one round trip; None where there is none.

        Raises:
            StorageUnavailable: If they did not come within ``timeout_s``.
        """
        reply = await self._call(
            b"*3\r\n$4\r\nMGET\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(first), first, len(second), second), timeout_s
        )
        if not isinstance(reply, list) or len(reply) != 2:  # noqa: PLR2004 -- two keys, two values
            raise StorageUnavailable("could not read from Redis: the reply has another shape than two values")
        return reply[0], reply[1]

    async def ping(self, *, timeout_s: float) -> None:
        """Return when Redis has answered.

        Raises:
            StorageUnavailable: If it did not within ``timeout_s``.
        """
        await self._call(_PING, timeout_s)

    async def close(self) -> None:
        """Drop the connection; reads under way end with `StorageUnavailable`."""
        if self._opening is not None:
            self._opening.cancel()
            with contextlib.suppress(asyncio.CancelledError, StorageUnavailable):
                await self._opening
        if self._connection is not None:
            self._connection.close("the service is stopping")
            await self._connection.lost.wait()

    async def _call(self, command: bytes, timeout_s: float) -> Any:
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        connection = self._connection
        if connection is None or connection.closed:
            connection = await self._open(timeout_s)
            timeout_s -= loop.time() - started_s
        future = connection.send(command, loop.time())
        expiry = loop.call_later(timeout_s, self._look_again, connection, future)
        try:
            reply = await future
        finally:
            expiry.cancel()
        if isinstance(reply, hiredis.ReplyError):
            raise reply_failure(str(reply), doing="read from Redis")
        return reply

    def _look_again(self, connection: _Connection, future: asyncio.Future[Any]) -> None:
        """Give up after one more look at the socket.

        uvloop runs timers before it reads sockets. When something has kept the loop busy, the reply may well be there,
        and neither the caller nor Redis is to blame.
        """
        if not future.done():
            asyncio.get_running_loop().call_later(_ONE_LOOK_S, self._expire, connection, future)

    def _expire(self, connection: _Connection, future: asyncio.Future[Any]) -> None:
        if not future.done():
            future.set_exception(StorageUnavailable("could not read from Redis: it did not answer in time"))
        # Timers may fire a clock tick early.
        if connection.oldest_wait_s(asyncio.get_running_loop().time()) >= 0.9 * self._stalled_after_s:
            self.stalls += 1
            connection.close("it did not answer in time")

    async def _open(self, timeout_s: float) -> _Connection:
        if self._opening is None:
            self._opening = asyncio.create_task(self._open_connection(), name="redis-reader-connect")
            self._opening.add_done_callback(self._opened)
        done, _ = await asyncio.wait({self._opening}, timeout=timeout_s)
        if not done:
            raise StorageUnavailable("could not read from Redis: no connection in time")
        return done.pop().result()

    def _opened(self, opening: asyncio.Task[_Connection]) -> None:
        self._opening = None
        if not opening.cancelled() and opening.exception() is None:
            self._connection = opening.result()

    async def _open_connection(self) -> _Connection:
        connection: _Connection
        try:
            _, connection = await self._connect(_Connection)
        except (OSError, TimeoutError) as error:
            raise storage_failure(error, doing="read from Redis") from error
        loop = asyncio.get_running_loop()
        for command in self._handshake:
            future = connection.send(command, loop.time())
            expiry = loop.call_later(self._stalled_after_s, connection.close, "it did not answer in time")
            try:
                reply = await future
            finally:
                expiry.cancel()
            if isinstance(reply, hiredis.ReplyError):
                connection.close("the greeting failed")
                raise reply_failure(str(reply), doing="open a connection to Redis")
        return connection
