"""A TCP proxy that stalls, delays or cuts a server's replies on command."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Fault(Enum):
    """What happens to replies."""

    NONE = "they are handed on"
    STALL = "they are held back"
    SLOW = "they come 200 ms late"
    CUT = "the connection ends after a few bytes of them"


class FaultyProxy:
    """Forwards one loopback port to another; ``fault`` may be set at any time, ``target_port`` for new connections."""

    def __init__(self, target_port: int) -> None:
        self.fault = Fault.NONE
        self.port = 0
        self.connections = 0
        self.target_port = target_port
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection both ways until one side ends or the proxy stops."""
        self.connections += 1
        self._writers.add(writer)
        there, back = await asyncio.open_connection("127.0.0.1", self.target_port)
        self._writers.add(back)
        parts = {asyncio.create_task(_copy(reader, back)), asyncio.create_task(self._copy_replies(there, writer))}
        await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        for part in parts:
            part.cancel()
        await asyncio.gather(*parts, return_exceptions=True)
        for side in (writer, back):
            await self._close(side)

    async def stop(self) -> None:
        """End every connection."""
        self.fault = Fault.NONE
        while self._writers:
            await asyncio.gather(*(self._close(writer) for writer in list(self._writers)))
            await asyncio.sleep(0.001)

    async def _close(self, writer: asyncio.StreamWriter) -> None:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        self._writers.discard(writer)

    async def _copy_replies(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            while self.fault is Fault.STALL:  # noqa: ASYNC110 -- set from outside at any time
                await asyncio.sleep(0.005)
            if self.fault is Fault.SLOW:
                await asyncio.sleep(0.2)
            if self.fault is Fault.CUT:
                writer.write(data[: min(7, len(data) - 1)])
                await writer.drain()
                return
            writer.write(data)
            await writer.drain()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()


@asynccontextmanager
async def faulty_proxy(target_port: int) -> AsyncIterator[FaultyProxy]:
    """Run a proxy in front of a loopback port."""
    proxy = FaultyProxy(target_port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.stop()
        await server.wait_closed()
