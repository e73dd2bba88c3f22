"""Finds the value that a refused body gives at a path, and shows it in an error's sentence."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import msgspec

from app.errors import MOST_SHOWN

_STEP: Final = re.compile(r"\.(?P<name>[^.\[\]]+)|\[(?P<place>\d+)\]")


def value_at(body: bytes, path: str) -> Any:
    """Return the value at a path of `msgspec`'s, made of names and places.

    >>> value_at(b'{"items": [{"id": 7}]}', ".items[0].id")
    7

    Raises:
        LookupError: If there is none.
    """
    try:
        value = msgspec.json.decode(body)
        for step in _STEP.finditer(path):
            value = value[step["name"] or int(step["place"])]
    except (msgspec.DecodeError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise LookupError(path) from error
    return value


def shown(value: Any) -> str:
    """Return a value as JSON of at most `MOST_SHOWN`; lone surrogates, which no answer can hold, escaped."""
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= MOST_SHOWN else text[:MOST_SHOWN] + "…"
