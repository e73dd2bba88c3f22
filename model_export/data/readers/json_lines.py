"""Streams rows out of JSON lines: one object a line."""

from __future__ import annotations

import codecs
import io
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import pyarrow as pa

from model_export.data.readers.input_bytes import open_bytes
from model_export.data.readers.raw_rows import RawRows, RowBatches
from model_export.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from model_export.data.bad_rows import BadRows

LINES_A_BATCH: Final = 100_000


def read_json_lines(
    path: Path, names: tuple[str, ...] | None, bad_rows: BadRows, *, required: tuple[str, ...] = ()
) -> RowBatches:
    """Yield the members ``names`` of every object as strings, "" where one is missing or null.

    Lists become ``a, b``; objects inside are left out. Blank lines are skipped; a line that is no JSON object is
    counted as bad.

    Args:
        path: The file; ``.gz`` is decompressed.
        names: Which members to read; None for all that occur in the batch.
        bad_rows: Where bad lines are counted.
        required: Members that at least one of the first objects must have.

    Raises:
        DataError: If the file has no rows, is one JSON array, or lacks a required member.
    """
    found_any = False
    with open_bytes(path) as stream:
        numbered = enumerate(io.BufferedReader(stream), start=1)
        while lines := list(islice(numbered, LINES_A_BATCH)):
            if lines[0][0] == 1:
                lines[0] = (1, lines[0][1].removeprefix(codecs.BOM_UTF8))
            if lines[0][0] == 1 and lines[0][1].lstrip().startswith(b"["):
                raise DataError(f"{path.name} begins with '[', expected JSON lines: one object a line, no array around")
            numbers, objects = _parsed(path.name, lines, bad_rows)
            found_any = found_any or any(line.strip() for _, line in lines)
            if objects:
                _check_members(path.name, objects, required)
                required = ()
                keys = names if names is not None else tuple(dict.fromkeys(key for row in objects for key in row))
                values = {key: pa.array([as_text(row.get(key)) for row in objects], pa.string()) for key in keys}
                yield RawRows(path.name, np.array(numbers, np.int64), values)
    if not found_any:
        raise DataError(f"{path.name} is empty, expected one JSON object a line")


def _check_members(file: str, objects: list[dict[str, Any]], required: tuple[str, ...]) -> None:
    for name in required:
        if not any(name in row for row in objects):
            members = ", ".join(map(str, objects[0]))
            raise DataError(f"{file} has no member {name!r} in its objects; the first has {members}")


def as_text(value: Any) -> str:
    """Return a JSON value as people would write it: "" for null and objects, ``a, b`` for lists, ``1`` for ``1.0``."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, dict):
        return ""
    if isinstance(value, list):
        return ", ".join(text for text in map(as_text, value) if text)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def _parsed(file: str, lines: Iterable[tuple[int, bytes]], bad_rows: BadRows) -> tuple[list[int], list[dict[str, Any]]]:
    numbers: list[int] = []
    objects: list[dict[str, Any]] = []
    for number, line in lines:
        if not line.strip():
            continue
        try:
            row = msgspec.json.decode(line)
        except ValueError as error:
            bad_rows.add(file, number, "not JSON", f"not JSON ({error}): {line[:60]!r}")
            continue
        if not isinstance(row, dict):
            bad_rows.add(file, number, "not a JSON object", f"not a JSON object: {line[:60]!r}")
            continue
        numbers.append(number)
        objects.append(row)
    return numbers, objects
