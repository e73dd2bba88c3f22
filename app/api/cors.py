"""Lets browsers of the named origins read answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.middleware.cors import CORSMiddleware

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import ASGIApp, Receive, Scope, Send

SHOWN_HEADERS = ("X-Request-Id", "Retry-After", "Server-Timing")
"""What a script may read beside the body."""


class Cors(CORSMiddleware):
    """Starlette's middleware, for a server that offers ways past it.

    It adds its headers to what is sent by ASGI. An answer written by an extension of the server's would lack them, and
    no browser would show it to its script; so extensions end here.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        """Let browsers call from ``origins``, with any method and any header."""
        super().__init__(
            app, allow_origins=origins, allow_methods=["*"], allow_headers=["*"], expose_headers=SHOWN_HEADERS
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a preflight, or hand the request on and add the headers to its answer."""
        if scope["type"] == "http":
            scope["extensions"] = {}
        await super().__call__(scope, receive, send)
