"""Streams rows out of Parquet; a row's number stands for its line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from model_export.data.readers.json_lines import as_text
from model_export.data.readers.raw_rows import RawRows, RowBatches
from model_export.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

ROWS_A_BATCH: Final = 500_000


def parquet_columns(path: Path) -> list[str]:
    """Return the column names.

    Raises:
        DataError: If this is not a Parquet file.
    """
    try:
        return list(pq.read_schema(path).names)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path.name} is not a Parquet file: {' '.join(str(error).split())}") from error


def read_parquet(path: Path, names: tuple[str, ...] | None) -> RowBatches:
    """Yield rows; numbers and times keep their type, lists become ``a, b``; objects and embeddings are left out.

    Raises:
        DataError: If the file has no rows.
    """
    first = 1
    with pq.ParquetFile(path) as file:
        if not file.metadata.num_rows:
            raise DataError(f"{path.name} has no rows, expected at least one")
        for batch in file.iter_batches(batch_size=ROWS_A_BATCH, columns=list(names) if names else None):
            columns = {name: _flat(array) for name, array in zip(batch.schema.names, batch.columns, strict=True)}
            lines = np.arange(first, first + batch.num_rows, dtype=np.int64)
            first += batch.num_rows
            yield RawRows(path.name, lines, {name: array for name, array in columns.items() if array is not None})


def _flat(array: pa.Array) -> pa.Array | None:
    """Return values as numbers, times or ``string``; None for objects, embeddings and bytes that are no text."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        return _flat(array.dictionary_decode())
    if kind == pa.uuid():
        return pa.array([None if value is None else str(value) for value in array.to_pylist()], pa.string())
    if isinstance(kind, pa.BaseExtensionType):
        return _flat(array.storage)
    if pa.types.is_nested(kind):
        return _joined(array)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or _is_bytes(kind):
        return _as(pa.string(), array)
    return array


def _joined(lists: pa.Array) -> pa.Array | None:
    """Return ``a, b`` for each list, missing elements left out; None where the innermost elements are no words."""
    innermost = lists.type
    while hasattr(innermost, "value_type"):
        innermost = innermost.value_type
    if pa.types.is_floating(innermost) or pa.types.is_nested(innermost):
        return None
    words = _as(pa.list_(pa.string()), lists) if _is_bytes(innermost) else lists
    return None if words is None else pa.array(map(as_text, words.to_pylist()), pa.string())


def _is_bytes(kind: pa.DataType) -> bool:
    return any(
        is_kind(kind)
        for is_kind in (
            pa.types.is_binary,
            pa.types.is_large_binary,
            pa.types.is_binary_view,
            pa.types.is_fixed_size_binary,
        )
    )


def _as(kind: pa.DataType, array: pa.Array) -> pa.Array | None:
    """Return text in another type, also bytes (older writers do not say that they are text); None where one is none."""
    try:
        return array.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
