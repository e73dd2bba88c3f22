"""Ids as parts of a path: whatever a client can percent-encode, slashes and line ends included."""

from __future__ import annotations

from typing import ClassVar

from starlette.convertors import Convertor, register_url_convertor


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
