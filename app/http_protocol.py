"""uvicorn's HTTP protocol with a short way out, and with limits to what it waits for."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from httptools import HttpParserError, HttpParserInvalidURLError, HttpParserUpgrade
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.api.edge import ONE_WRITE, SECURITY_HEADERS
from app.api.error_responses import error_body

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from uvicorn import Config
    from uvicorn._types import ASGI3Application
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
    from uvicorn.server import ServerState

    from app.api.edge import Refuse
    from app.api.reply import Reply

MOST_URL_BYTES: Final = 65_535
"""Of path and query: what httptools can take apart."""

MOST_HEAD_BYTES: Final = 131_072
"""Of a request line and headers that do not end; the packet that passes it is taken."""

MOST_ARRIVAL_S: Final = 60.0
"""A request has so long to arrive, from its first byte to its last."""

MOST_UNREAD_S: Final = 60.0
"""A client that leaves its answers unread, so that no more can be written, is let go after so long."""

LINGER_S: Final = 5.0
"""What is still to be written to a client that was let go has so long."""

NO_HTTP: Final = "this is no HTTP/1.1 request, or its method is not known"
NO_URL: Final = "this is no path of a URL, expected / first, and what is not ASCII percent-encoded as UTF-8 (%C3%A9)"


class _Nowhere(list[tuple[bytes, bytes]]):
    """Takes the headers behind a chunked body, which nobody reads, and keeps none."""

    def append(self, _: tuple[bytes, bytes]) -> None:
        """Do nothing."""


_NOWHERE: Final = _Nowhere()


class ShortProtocol(HttpToolsProtocol):
    """Offers every request `ONE_WRITE`, refuses at once what need not begin, and waits for nobody for ever.

    ASGI sends head and body apart: two writes, of which the first wakes the client for nothing, and two patterns are
    searched in each header. Headers that are given here must be sound: names lower-case, no line ends in values, and
    the right ``content-length`` among them.

    Promise: a connection is closed when nothing comes for uvicorn's ``timeout_keep_alive``, from its beginning on; when
    a request does not arrive whole within `MOST_ARRIVAL_S`; and when answers are left unread for `MOST_UNREAD_S`.
    """

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any], *, refuse: Refuse | None = None
    ) -> None:
        super().__init__(config, server_state, app_state)
        self._refuse = refuse
        self._is_refused = False
        self._is_last = False
        self._is_leaving = False
        self._url_is_too_long = False
        self._is_arriving = self._has_head = self._is_offer = False
        self._head_bytes = 0
        self._arrival: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin; a client that says nothing is not waited for any longer than between two requests."""
        super().connection_made(transport)
        self._watch(0)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        super().connection_lost(exc)
        for timer in (self.timeout_keep_alive_task, self._arrival, self._unread):
            if timer is not None:
                timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Take a packet.

        Who offers to go on with another protocol (``Upgrade: h2c``, as Java's client does with each first request) is
        answered in this one. The parser ends a request at its head then and leaves its body behind: it is given the
        request again, without the offer.
        """
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            if self._is_offer:
                self.data_received(self._head_without_offer() + data[upgrade.args[0] :])
                return
        except HttpParserError as error:
            self.logger.warning("Invalid HTTP request received.")
            self.send_400_response(NO_URL if isinstance(error, HttpParserInvalidURLError) else NO_HTTP)
            return
        if self._is_arriving or self.cycle is None or self.cycle.response_complete:
            self._watch(len(data))

    def on_message_begin(self) -> None:
        """Begin to read a request."""
        super().on_message_begin()
        self._is_arriving, self._has_head, self._is_offer, self._head_bytes = True, False, False, 0

    def leave(self) -> None:
        """Let the answer that is under way, or else the next one, be the connection's last."""
        self._is_leaving = True
        if self.cycle is not None:
            self.cycle.keep_alive = False

    def on_headers_complete(self) -> None:
        """Begin a request, or end it here: a refusal needs nothing that uvicorn makes for a request."""
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            self._is_offer = True
            return
        self._has_head = True
        # the answers before it come first, and a client that does not read is waited for, which only ASGI can
        is_next = self.cycle is None or self.cycle.response_complete
        if self._refuse is not None and is_next and not self.flow.write_paused:
            refusal = self._refuse(self.parser.get_method(), self.url, self.headers, len(self.tasks))
            if refusal is not None:
                self._is_refused = True
                self._end(refusal)
                self.headers = _NOWHERE
                return
        super().on_headers_complete()
        self.headers = _NOWHERE
        if self._is_leaving and self.cycle is not None:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body; a refused request's is skipped."""
        if not self._is_refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End the body."""
        if self._is_offer:
            return
        self._is_arriving = False
        if self._arrival is not None:
            self._arrival.cancel()
            self._arrival = None
        if not self._is_refused:
            super().on_message_complete()
        self._is_refused = False
        if self._is_last:
            self.transport.close()

    def pause_writing(self) -> None:
        """Wait for a client that does not read, for a while."""
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(MOST_UNREAD_S, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on: the client reads."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection that nothing came on."""
        super().timeout_keep_alive_handler()
        self.loop.call_later(LINGER_S, self.transport.abort)

    def _head_without_offer(self) -> bytes:
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def _watch(self, received: int) -> None:
        """See to it that whoever is waited for now is not waited for for ever."""
        if self._is_arriving:
            self._head_bytes += 0 if self._has_head else received
            if self._head_bytes > MOST_HEAD_BYTES:
                message = f"the request line and headers are longer than {MOST_HEAD_BYTES} bytes"
                self._say_last(error_body(431, message, "headers_too_long"))
            elif self._arrival is None:
                self._arrival = self.loop.call_later(MOST_ARRIVAL_S, self._give_up)
        elif self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _give_up(self) -> None:
        """Close the connection whose request does not arrive, with an answer where none was given and none is due."""
        if self._has_head:
            may_say = not self._is_refused and not self.pipeline and not self.cycle.response_started
        else:
            may_say = self.cycle is None or self.cycle.response_complete
        if may_say:
            self._say_last(error_body(408, f"the request did not arrive within {MOST_ARRIVAL_S:g} s", "slow_request"))
        self.transport.close()
        self.loop.call_later(LINGER_S, self.transport.abort)

    def _end(self, reply: Reply) -> None:
        """Answer the request that is being read, of which no cycle knows."""
        may_stay = not self._is_leaving and self.parser.get_http_version() != "1.0"
        keep_alive = may_stay and self.parser.should_keep_alive()
        self.transport.write(
            _joined(reply.status, self.server_state.default_headers, reply.all_headers(), reply.body, keep_alive)
        )
        self._is_last = not keep_alive
        self.on_response_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        cycle.scope["extensions"] = {ONE_WRITE: partial(self._write, cycle)}  # type: ignore[dict-item]
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
        if self._url_is_too_long:
            message = f"the path and query are longer than {MOST_URL_BYTES} bytes; what is longer belongs into the body"
            self._say_last(error_body(414, message, "uri_too_long"))
        else:
            self._say_last(error_body(400, msg, "malformed"))

    def _say_last(self, reply: Reply) -> None:
        """Answer what has become no request, and close the connection."""
        self.transport.write(_joined(reply.status, [], [*reply.all_headers(), *SECURITY_HEADERS], reply.body, False))
        self.transport.close()

    def _write(
        self, cycle: RequestResponseCycle, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes
    ) -> bool:
        if cycle.response_started or cycle.disconnected or cycle.flow.write_paused or cycle.scope["method"] == "HEAD":
            return False
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        self.transport.write(_joined(status, cycle.default_headers, headers, body, cycle.keep_alive))
        cycle.message_event.set()
        if not cycle.keep_alive:
            # a connection that is closed with a body under way is reset, and the client may never see its answer
            self._is_last = cycle.more_body
            if not cycle.more_body:
                self.transport.close()
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
