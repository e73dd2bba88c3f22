"""uvicorn's HTTP protocol with a short way out: answers in one piece, and refusals without a task."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.api.edge import ONE_WRITE, SECURITY_HEADERS
from app.api.error_responses import error_body

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uvicorn import Config
    from uvicorn._types import ASGI3Application
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
    from uvicorn.server import ServerState

    from app.api.edge import Refuse
    from app.api.reply import Reply

EXTENSION: Final = ONE_WRITE
"""In the scope's ``extensions``: ``(status, headers, body) -> bool``, False if ASGI's ``send`` has to be used."""


MOST_URL_BYTES: Final = 65_535
"""Of path and query: what httptools can take apart."""


class ShortProtocol(HttpToolsProtocol):
    """Offers every request the `EXTENSION`, and refuses at once what need not begin.

    ASGI sends head and body apart: two writes, of which the first wakes the client for nothing, and two patterns are
    searched in each header. Headers that are given here must be sound: names lower-case, no line ends in values, and
    the right ``content-length`` among them.
    """

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any], *, refuse: Refuse | None = None
    ) -> None:
        super().__init__(config, server_state, app_state)
        self._refuse = refuse
        self._is_refused = False
        self._url_is_too_long = False

    def on_headers_complete(self) -> None:
        """Begin a request, or end it here: a refusal needs nothing that uvicorn makes for a request."""
        # the answers before it come first, and a client that does not read is waited for, which only ASGI can
        is_next = self.cycle is None or self.cycle.response_complete
        if self._refuse is not None and is_next and not self.flow.write_paused:
            refusal = self._refuse(self.parser.get_method(), self.url, self.headers, len(self.tasks))
            if refusal is not None:
                self._is_refused = True
                self._end(refusal)
                return
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body; a refused request's is skipped."""
        if not self._is_refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End the body."""
        if not self._is_refused:
            super().on_message_complete()
        self._is_refused = False

    def _end(self, reply: Reply) -> None:
        """Answer the request that is being read, of which no cycle knows."""
        keep_alive = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        self.transport.write(
            _joined(reply.status, self.server_state.default_headers, reply.all_headers(), reply.body, keep_alive)
        )
        if not keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        cycle.scope["extensions"] = {EXTENSION: partial(_write, cycle)}  # type: ignore[dict-item]
        super()._start_asgi_task(cycle, app)

    def on_url(self, url: bytes) -> None:
        """Take a piece of the path and query; one that goes on for ever is not kept for ever.

        Raises:
            ValueError: If it is longer than `MOST_URL_BYTES`; the parser passes it on as an error of its own.
        """
        super().on_url(url)
        if len(self.url) > MOST_URL_BYTES:
            self._url_is_too_long = True
            raise ValueError("the path and query are too long")

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, or has too long a path, as every other mistake is, and close the connection."""
        del msg  # it is for a person at a terminal and says no more
        if self._url_is_too_long:
            message = f"the path and query are longer than {MOST_URL_BYTES} bytes; what is longer belongs into the body"
            reply = error_body(414, message, "uri_too_long")
        else:
            reply = error_body(400, "this is no HTTP/1.1 request, or its method is not known", "malformed")
        head = b"".join(b"%b: %b\r\n" % header for header in [*reply.all_headers(), *SECURITY_HEADERS])
        self.transport.write(STATUS_LINE[reply.status] + head + b"connection: close\r\n\r\n" + reply.body)
        self.transport.close()


def _write(cycle: RequestResponseCycle, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bool:
    if cycle.response_started or cycle.disconnected or cycle.flow.write_paused or cycle.scope["method"] == "HEAD":
        return False
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    cycle.transport.write(_joined(status, cycle.default_headers, headers, body, cycle.keep_alive))
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
    return True


def _joined(
    status: int,
    default_headers: Sequence[tuple[bytes, bytes]],
    headers: Sequence[tuple[bytes, bytes]],
    body: bytes,
    keep_alive: bool,
) -> bytes:
    """Return a whole answer."""
    pieces = [STATUS_LINE[status]]
    for name, value in default_headers:
        pieces += (name, b": ", value, b"\r\n")
    for name, value in headers:
        pieces += (name, b": ", value, b"\r\n")
    pieces.append(b"\r\n" if keep_alive else b"connection: close\r\n\r\n")
    pieces.append(body)
    return b"".join(pieces)
