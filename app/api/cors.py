"""Lets browsers of the named origins read answers."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from starlette.middleware.cors import CORSMiddleware

from app.api.edge import SECURITY_HEADERS
from app.api.error_responses import error_body
from app.api.request_ids import new_request_id
from app.errors import MOST_SHOWN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.datastructures import Headers
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "DELETE")
"""What the routes take between them."""

SHOWN_HEADERS: Final = ("X-Request-Id", "Retry-After", "Server-Timing")
"""What a script may read beside the body."""


class Cors(CORSMiddleware):
    """Starlette's middleware, for a server that offers ways past it.

    It adds its headers to what is sent by ASGI. An answer written by an extension of the server's would lack them, and
    no browser would show it to its script; so extensions end here.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        """Let browsers call from ``origins``, with every method that there is and any header."""
        super().__init__(
            app, allow_origins=origins, allow_methods=METHODS, allow_headers=["*"], expose_headers=SHOWN_HEADERS
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a preflight, or hand the request on and add the headers to its answer."""
        if scope["type"] == "http":
            scope["extensions"] = {}
        await super().__call__(scope, receive, send)

    def preflight_response(self, request_headers: Headers) -> Response:
        """Answer a preflight, with the headers that all answers have; a refusal is JSON as every error is."""
        response = super().preflight_response(request_headers)
        if response.status_code >= HTTPStatus.BAD_REQUEST:
            refusal = error_body(response.status_code, self._why_refused(request_headers), "cors").as_response()
            for name, value in response.headers.items():
                if name not in ("content-length", "content-type"):
                    refusal.headers[name] = value
            response = refusal
        response.headers["x-request-id"] = new_request_id()
        for own_name, own_value in SECURITY_HEADERS:
            response.headers[own_name.decode()] = own_value.decode()
        return response

    def _why_refused(self, request_headers: Headers) -> str:
        origin, method = request_headers["origin"], request_headers["access-control-request-method"]
        if not self.is_allowed_origin(origin):
            return f"the origin {origin[:MOST_SHOWN]!r} is none of those that this service answers browsers of"
        if method not in METHODS:
            return f"the method {method[:MOST_SHOWN]!r} is not taken, expected one of {', '.join(METHODS)}"
        return "the browser asks for what this service does not offer: access from a public site to a private network"
