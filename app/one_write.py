"""A uvicorn protocol that can send an answer in one piece."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.api.edge import ONE_WRITE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uvicorn._types import ASGI3Application
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

EXTENSION: Final = ONE_WRITE
"""In the scope's ``extensions``: ``(status, headers, body) -> bool``, False if ASGI's ``send`` has to be used."""


class OneWriteProtocol(HttpToolsProtocol):
    """Offers every request the `EXTENSION`.

    ASGI sends head and body apart: two writes, of which the first wakes the client for nothing, and two patterns are
    searched in each header. Headers that are given here must be sound: names lower-case, no line ends in values, and
    the right ``content-length`` among them.
    """

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        cycle.scope["extensions"] = {EXTENSION: partial(_write, cycle)}  # type: ignore[dict-item]
        super()._start_asgi_task(cycle, app)


def _write(cycle: RequestResponseCycle, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bool:
    if cycle.response_started or cycle.disconnected or cycle.flow.write_paused or cycle.scope["method"] == "HEAD":
        return False
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    pieces = [STATUS_LINE[status]]
    for name, value in cycle.default_headers:
        pieces += (name, b": ", value, b"\r\n")
    for name, value in headers:
        pieces += (name, b": ", value, b"\r\n")
    pieces.append(b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n")
    pieces.append(body)
    cycle.transport.write(b"".join(pieces))
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
    return True
