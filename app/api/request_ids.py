"""Names for requests that come without one."""

from __future__ import annotations

from itertools import count
from secrets import token_hex
from typing import Final

_START: Final = token_hex(5)
_NUMBERS: Final = count()


def new_request_id() -> str:
    """Return an id that no other request of any process gets: a random start and a number, in hex."""
    return f"{_START}{next(_NUMBERS):08x}"
