"""One answer: status, JSON bytes, headers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import msgspec
from starlette.responses import Response

RawHeaders: TypeAlias = list[tuple[bytes, bytes]]

JSON: bytes = b"application/json"
_ENCODER: Final = msgspec.json.Encoder()


@dataclass(slots=True)
class Reply:
    """What goes back to the client.

    Attributes:
        body: Encoded.
        status: HTTP status.
        headers: Beside content type and length.
        content_type: Of the body.
    """

    body: bytes
    status: int = 200
    headers: RawHeaders = field(default_factory=list)
    content_type: bytes = JSON

    def as_response(self) -> Response:
        """Return the same for Starlette."""
        response = Response(self.body, self.status, media_type=None)
        response.raw_headers = self.all_headers()
        return response

    def all_headers(self) -> RawHeaders:
        """Return the headers with content type and length."""
        length = str(len(self.body)).encode()
        return [(b"content-type", self.content_type), (b"content-length", length), *self.headers]


def json_reply(content: Any, status: int = 200) -> Reply:
    """Return a reply with ``content``, a `msgspec.Struct` or plain data, as JSON."""
    return Reply(_ENCODER.encode(content), status)
