"""A TCP proxy in front of Redis that refuses, stalls, delays or cuts replies on command."""

from __future__ import annotations

import asyncio
import threading
from enum import Enum
from typing import Self

CUT_AFTER_BYTES = 7


class Fault(Enum):
    """What the proxy does to traffic."""

    NONE = "forwards"
    REFUSE = "closes every connection at once"
    STALL = "accepts and answers nothing"
    SLOW = "delays every reply by 200 ms"
    CUT = "closes the connection in the middle of a reply"


class FaultProxy:
    """A proxy on a loopback port of its own, run by a thread of its own.

    Args:
        host: Of the real server.
        port: Of the real server.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._fault = Fault.NONE
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(5)
        self.port = server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def inject(self, fault: Fault) -> None:
        """Start a fault; for `Fault.REFUSE` open connections are closed too."""
        self._fault = fault
        if fault is Fault.REFUSE:
            self._loop.call_soon_threadsafe(self._close_all)

    def _close_all(self) -> None:
        for writer in self._writers:
            writer.close()

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._fault is Fault.REFUSE:
            writer.close()
            return
        self._writers.add(writer)
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection(*self._target)
            self._writers.add(upstream_writer)
            await asyncio.gather(
                self._forward(reader, upstream_writer, replies=False),
                self._forward(upstream_reader, writer, replies=True),
            )
        except OSError:
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, replies: bool) -> None:
        try:
            while data := await reader.read(65_536):
                if not await self._pass(data, writer, replies=replies):
                    break
        except OSError:
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _pass(self, data: bytes, writer: asyncio.StreamWriter, *, replies: bool) -> bool:
        """Hand one chunk on as the fault has it; return False when the connection must end."""
        while self._fault is Fault.STALL:  # noqa: ASYNC110 -- set from another thread
            await asyncio.sleep(0.02)
        if replies and self._fault is Fault.SLOW:
            await asyncio.sleep(0.2)
        if replies and self._fault is Fault.CUT:
            writer.write(data[:CUT_AFTER_BYTES])
            await writer.drain()
            return False
        writer.write(data)
        await writer.drain()
        return True
