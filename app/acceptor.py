"""Takes new connections from a listening socket."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

AT_ONCE: Final = 64
"""Most connections of one turn."""

SHARING_PAUSE_S: Final = 0.002
"""With several workers on the socket, each leaves the next connection to the others for so long."""

PAUSE_S: Final = 0.1
"""When the process is out of file descriptors, nothing is accepted for so long."""

logger = logging.getLogger("seqrank")


class Acceptor:
    """Accepts up to `AT_ONCE` connections each turn of the event loop; stands in for an `asyncio.Server`.

    libuv accepts one a turn. Under load a turn takes tens of milliseconds, so that a burst of new connections would
    wait for seconds, unseen by every clock of the service, and overflow the kernel's queue.

    A worker that shares the socket takes one connection, pauses, and then takes one for every pause that has passed:
    an idle worker leaves the rest of a burst to the others, a busy one keeps up.
    """

    def __init__(
        self, listening: socket.socket, make_protocol: Callable[[], asyncio.Protocol], *, is_shared: bool = False
    ) -> None:
        """Begin to accept on the running event loop.

        Args:
            listening: Bound and listening; closed by the caller, after `close`.
            make_protocol: Makes the protocol of a connection.
            is_shared: Whether other processes accept from the socket too.
        """
        self._loop = asyncio.get_running_loop()
        self._listening = listening
        self._make_protocol = make_protocol
        self._is_shared = is_shared
        self._allowed = 1 if is_shared else AT_ONCE
        self._opening: set[asyncio.Task[None]] = set()
        self._closed = False
        self._is_exhausted = False
        self._paused_s = self._loop.time()
        listening.setblocking(False)
        self._resume()

    def close(self) -> None:
        """Accept no more."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._listening.fileno())

    async def wait_closed(self) -> None:
        """Return when connections that were being opened are open."""
        await asyncio.gather(*self._opening, return_exceptions=True)

    def _resume(self) -> None:
        if self._closed:
            return
        if self._is_shared:
            pauses = (self._loop.time() - self._paused_s) / SHARING_PAUSE_S
            self._allowed = min(max(1, int(pauses)), AT_ONCE)
        self._loop.add_reader(self._listening.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(self._allowed):
            try:
                connection, _ = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if not self._is_exhausted:
                    logger.error("no connection can be accepted until this is over: %s", error)  # noqa: TRY400
                self._is_exhausted = True
                self._pause(PAUSE_S)
                return
            self._is_exhausted = False
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = self._loop.create_task(self._open(connection))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)
        if self._is_shared:
            self._pause(SHARING_PAUSE_S)

    def _pause(self, seconds: float) -> None:
        self._loop.remove_reader(self._listening.fileno())
        self._paused_s = self._loop.time()
        self._loop.call_later(seconds, self._resume)

    async def _open(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._make_protocol, connection)
        except OSError:
            # the client has left already
            connection.close()
