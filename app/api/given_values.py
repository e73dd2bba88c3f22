"""Finds the value that a refused body gives at a path, and shows it in an error's sentence."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import msgspec

MOST_CHARACTERS: Final = 80
"""Of a value in a sentence; the rest is cut off."""

_STEP: Final = re.compile(r"\.(?P<name>[^.\[\]]+)|\[(?P<place>\d+)\]|(?P<some>\[\.\.\.\])")


def shown_at(body: bytes, path: str) -> str | None:
    """Return the value at a path of `msgspec`'s, as JSON; None where it would say nothing.

    An array, an object or a value that is not there says no more than the error's own words; for a path that names
    some value of an object, ``objective[...]``, that is the object.

    >>> shown_at(b'{"items": [{"id": 7}]}', ".items[0].id")
    '7'
    """
    try:
        value = msgspec.json.decode(body)
        for step in _STEP.finditer(path):
            if step["some"]:
                return _short(value)
            value = value[step["name"] or int(step["place"])]
    except (msgspec.DecodeError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return None if isinstance(value, dict | list) else _short(value)


def _short(value: Any) -> str:
    """Return the value as JSON of at most `MOST_CHARACTERS`; lone surrogates, which no answer can hold, escaped."""
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= MOST_CHARACTERS else text[:MOST_CHARACTERS] + "…"
