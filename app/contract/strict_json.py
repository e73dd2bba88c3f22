"""Reads a small JSON file that may have been damaged or made up, and fails only with `BundleError`."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final, NoReturn

from app.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path

MAX_DEPTH: Final = 32
"""Deeper nesting than any honest file of a bundle has."""


def read_strict_json(path: Path, *, max_bytes: int) -> Any:
    """Return the parsed content of ``path``.

    Stricter than `json.loads`: no key twice in an object, no NaN or infinity (also not as ``1e999``), no half surrogate
    pairs, no nesting beyond `MAX_DEPTH`.

    Raises:
        BundleError: If the file is missing, longer than ``max_bytes``, or breaks one of these rules.
    """
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise BundleError(f"{path.name} has {size} bytes, expected at most {max_bytes}")
        return parse_strict_json(path.read_bytes(), name=path.name)
    except OSError as error:
        raise BundleError(f"{path.name} of {path.parent} cannot be read: {error.strerror or error}") from error


def parse_strict_json(content: bytes, *, name: str) -> Any:
    """Return the parsed ``content``; ``name`` stands in the messages. See `read_strict_json`."""
    try:
        text = content.decode("utf-8")
        parsed = json.loads(text, object_pairs_hook=_object_without_twins, parse_constant=_refuse_constant)
        _check_values(parsed, depth=0)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)[:200]
        raise BundleError(f"{name} is no valid JSON: {reason}") from error
    return parsed


def _object_without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice in one object")
    return found


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


def _check_values(value: object, *, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError("nested too deeply")
    if isinstance(value, dict):
        for key, entry in value.items():
            key.encode("utf-8")
            _check_values(entry, depth=depth + 1)
    elif isinstance(value, list):
        for entry in value:
            _check_values(entry, depth=depth + 1)
    elif isinstance(value, str):
        value.encode("utf-8")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a number is too large for a float")
