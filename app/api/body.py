"""Reads request bodies, and stops as soon as one is too long."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from app.api.failures import BodyTooLarge, MalformedBody

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Scope: TypeAlias = MutableMapping[str, Any]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


class ClientLeft(Exception):
    """The client closed its connection; nobody reads an answer."""


async def read_body(receive: Receive, most_bytes: int) -> bytes:
    """Return the whole body, counted while it arrives.

    Raises:
        BodyTooLarge: If it is longer than ``most_bytes``.
        ClientLeft: If the client left in the middle.
    """
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientLeft
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        _check(len(body), most_bytes)
        return body
    chunks, length = [body], len(body)
    while message.get("more_body", False):
        _check(length, most_bytes)
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        chunks.append(message.get("body", b""))
        length += len(chunks[-1])
    _check(length, most_bytes)
    return b"".join(chunks)


def check_announced_length(header: bytes, most_bytes: int) -> None:
    """Refuse a body by its ``Content-Length``, before any of it is read.

    Raises:
        BodyTooLarge: If it is longer than ``most_bytes``.
        MalformedBody: If the header is no number.
    """
    if not header.isdigit():
        raise MalformedBody(f"Content-Length is {header[:20].decode('latin-1')!r}, expected a number of bytes")
    _check(int(header), most_bytes)


def _check(length: int, most_bytes: int) -> None:
    if length > most_bytes:
        raise BodyTooLarge(f"the body has {length} bytes or more, expected at most {most_bytes}")
