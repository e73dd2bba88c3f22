"""The outermost layer: request ids, keys, limits, headers, the last answer to every error."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from starlette.requests import ClientDisconnect

from app.api.body import ClientLeft, check_announced_length, read_body
from app.api.error_responses import error_reply
from app.api.keys import Access, KeyRing, key_in
from app.api.request_ids import new_request_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from app.api import body
    from app.api.admission import Admission
    from app.api.rate_limit import RateLimit
    from app.api.reply import Reply
    from app.api.serving import Observer, Service

Refuse: TypeAlias = "Callable[[bytes, bytes, Sequence[tuple[bytes, bytes]], int], Reply | None]"
"""Method, target, headers, and requests under way -> the reply that ends a request before it begins, or None."""

SECURITY_HEADERS: Final = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
]

ONE_WRITE: Final = "seqrank.one_write"
"""In the scope's ``extensions`` where the server offers it, as `app.http_protocol` does: ``(status, headers, body) ->
bool``, False if ASGI's ``send`` has to be used."""

_OPEN_PATHS: Final = frozenset({"/health", "/metrics", "/docs", "/openapi.json"})
_OPEN_PREFIXES: Final = ("/health/", "/v2/health/")
_LONGEST_REQUEST_ID: Final = 128


class Lane(NamedTuple):
    """A route that is reached without the framework.

    Attributes:
        route: Path template, for metrics.
        answer: Whole body, ASGI's receive, `time.monotonic` of the body's end -> reply.
    """

    route: str
    answer: Callable[[bytes, body.Receive, float], Awaitable[Reply]]


@dataclass(slots=True)
class _Headers:
    """The request headers that matter here."""

    authorization: bytes | None = None
    api_key: bytes | None = None
    content_length: bytes | None = None
    request_id: bytes = b""

    @classmethod
    def of(cls, headers: Iterable[tuple[bytes, bytes]]) -> _Headers:
        found = cls()
        for name, value in headers:
            if name == b"content-length":
                found.content_length = value
            elif name == b"authorization":
                found.authorization = value
            elif name == b"x-api-key":
                found.api_key = value
            elif name == b"x-request-id" and value.isascii() and len(value) <= _LONGEST_REQUEST_ID:
                found.request_id = value
        if not found.request_id:
            found.request_id = new_request_id().encode()
        return found


def access_of(method: str, path: str) -> Access:
    """Return what a request needs a key for."""
    if path in _OPEN_PATHS or path.startswith(_OPEN_PREFIXES):
        return Access.OPEN
    if method in ("PUT", "DELETE"):
        return Access.ADMIN
    return Access.RANK


@dataclass(slots=True)
class Edge:
    """An ASGI application around the framework's.

    Lanes are the hot routes: the framework's own routing and dependency solving costs about 70 µs a request, as much
    as everything else that happens here. The same functions are registered with the framework, which documents them.

    Attributes:
        app: The framework's application.
        lane_of: Path -> lane, if there is one; all of them are POST.
        service: Counts what is in flight.
        observer: Is told of every answer.
        keys: Who may do what.
        rate_limit: None for no limit.
        max_body_bytes: Longest body.
        admission: Refuses what the event loop cannot get to.
        probes: Requests under way that `service` does not count.
        idle: Requests under way that wait for their client: for the rest of a body, or to have an answer read. They
            cost the event loop nothing, so that admission does not count them.
    """

    app: body.App
    lane_of: Callable[[str], Lane | None]
    service: Service
    observer: Observer
    keys: KeyRing
    rate_limit: RateLimit | None
    max_body_bytes: int
    admission: Admission
    probes: int = 0
    idle: int = 0

    async def __call__(self, scope: body.Scope, receive: body.Receive, send: body.Send) -> None:
        """Answer one request; hand anything that is not HTTP on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = _Headers.of(scope["headers"])
        access = access_of(scope["method"], scope["path"])
        lane = self.lane_of(scope["path"]) if scope["method"] == "POST" else None
        # probes and metrics are not work that draining has to wait for
        counted = access is not Access.OPEN
        self.service.in_flight += counted
        self.probes += not counted
        exchange = _Exchange(scope, send, headers.request_id, self)
        try:
            self._admit(scope, headers, access)
            if lane is not None:
                content = await self._admitted_body(receive)
                # the budget begins with the whole body: what the client took to send it is not the service's
                await exchange.reply(await lane.answer(content, receive, time.monotonic()))
                self.admission.answered(self._others_busy)
            else:
                limited = _CountedReceive(receive, self)
                await self.app(scope, limited, exchange.send)
        except (ClientLeft, ClientDisconnect):
            self.observer.client_left()
        except Exception as error:  # noqa: BLE001 -- this is the last layer: whatever it is becomes an answer
            if not exchange.status:
                await exchange.reply(error_reply(error))
        finally:
            self.service.in_flight -= counted
            self.probes -= not counted
            route = _route_of(scope) if lane is None else lane.route
            self.observer.answered(route, exchange.status)

    def refuse(
        self, method: bytes, target: bytes, headers: Sequence[tuple[bytes, bytes]], under_way: int
    ) -> Reply | None:
        """Return the refusal of a request that the event loop could not get to in time, or None.

        The server asks when it has read a request's head and made nothing of it yet: at three times what the service
        can answer, refusals are most of its work. What is not refused here passes the same check in `__call__`.

        Args:
            method: As it was sent.
            target: Path and query, as they were sent.
            headers: With lower-case names.
            under_way: Requests that have begun or wait for the event loop.
        """
        refusal = self.admission.refusal(under_way - self.idle)
        if refusal is None or method != b"POST":
            return None
        lane = self.lane_of(target.decode("ascii", "replace"))
        if lane is None:
            return None
        reply = error_reply(refusal)
        reply.headers += [(b"x-request-id", _Headers.of(headers).request_id), *SECURITY_HEADERS]
        self.observer.answered(lane.route, reply.status)
        return reply

    @property
    def _others_busy(self) -> int:
        """Requests beside the one that asks which the event loop has something to do for, now or soon."""
        return self.service.in_flight + self.probes - 1 - self.idle

    async def _admitted_body(self, receive: body.Receive) -> bytes:
        """Return the body of a request of a lane; asked twice, because many bodies may arrive at once."""
        self.admission.check(self._others_busy)
        self.idle += 1
        try:
            content = await read_body(receive, self.max_body_bytes)
        finally:
            self.idle -= 1
        self.admission.check(self._others_busy)
        return content

    def _admit(self, scope: body.Scope, headers: _Headers, access: Access) -> None:
        key = key_in(headers.authorization, headers.api_key)
        self.keys.check(key, access)
        if self.rate_limit is not None and access is not Access.OPEN:
            client = scope.get("client")
            # a key that nobody checked is only a word of the caller's, which could be another one each time
            known = key if self.keys.guards(access) else None
            self.rate_limit.take(known or (client[0].encode() if client else b""))
        if headers.content_length is not None:
            check_announced_length(headers.content_length, self.max_body_bytes)


class _Exchange:
    """Sends one answer with the headers that all have."""

    __slots__ = ("_at_once", "_edge", "_extra", "_send", "status")

    def __init__(self, scope: body.Scope, send: body.Send, request_id: bytes, edge: Edge) -> None:
        self._at_once = (scope.get("extensions") or {}).get(ONE_WRITE)
        self._edge = edge
        self._send = send
        self._extra = [(b"x-request-id", request_id), *SECURITY_HEADERS]
        self.status = 0

    async def send(self, message: body.Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), *self._extra]
        await self._hand_over(message)

    async def reply(self, reply: Reply) -> None:
        self.status = reply.status
        headers = reply.all_headers()
        headers += self._extra
        if self._at_once is not None and self._at_once(reply.status, headers, reply.body):
            return
        await self._hand_over({"type": "http.response.start", "status": reply.status, "headers": headers})
        await self._hand_over({"type": "http.response.body", "body": reply.body})

    async def _hand_over(self, message: body.Message) -> None:
        """Send, which waits for a client that does not read."""
        self._edge.idle += 1
        try:
            await self._send(message)
        finally:
            self._edge.idle -= 1


class _CountedReceive:
    """ASGI's receive for the framework, with the body counted while it arrives."""

    __slots__ = ("_edge", "_is_whole", "_left", "_receive")

    def __init__(self, receive: body.Receive, edge: Edge) -> None:
        self._receive = receive
        self._edge = edge
        self._left = edge.max_body_bytes
        self._is_whole = False

    async def __call__(self) -> body.Message:
        if self._is_whole:  # who asks now waits for the client to leave, while the request is answered
            return await self._receive()
        self._edge.idle += 1
        try:
            message = await self._receive()
        finally:
            self._edge.idle -= 1
        self._is_whole = not message.get("more_body", False)
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            most = self._edge.max_body_bytes
            check_announced_length(str(most - self._left).encode(), most)
        return message


def _route_of(scope: body.Scope) -> str:
    """Return a path template for metrics: few values, no ids."""
    return str(getattr(scope.get("route"), "path_format", "other"))
