"""Ids as parts of a path: whatever a client can percent-encode, slashes and line ends included."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import unquote_to_bytes

from starlette.convertors import Convertor, register_url_convertor

from app.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping


class IdConvertor(Convertor[str]):
    """Matches the rest of the path; the framework's own ``path`` stops at a line end."""

    regex: ClassVar[str] = "(?s:.*)"

    def convert(self, value: str) -> str:
        """Return the id as it is; it is percent-decoded already."""
        return value

    def to_string(self, value: str) -> str:
        """Return the id as it is."""
        return value


def install() -> None:
    """Let routes say ``{name:id}``."""
    register_url_convertor("id", IdConvertor())


def sound_id(scope: Mapping[str, Any], value: str) -> str:
    """Return the id of a path if it is what the client can have meant.

    Args:
        scope: ASGI's.
        value: The id as the framework read it.

    Raises:
        InvalidRequest: If the path ends in a slash that is not percent-encoded: with it the id would be another one,
            and forgetting a user would forget nobody. Or if it is not UTF-8.
    """
    raw: bytes = scope.get("raw_path") or b""
    if raw.endswith(b"/"):
        raise InvalidRequest("the path ends in '/', expected the id alone; a slash that belongs to it is written %2F")
    try:
        unquote_to_bytes(raw).decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest("the id is not UTF-8, expected percent-encoded UTF-8") from error
    return value
