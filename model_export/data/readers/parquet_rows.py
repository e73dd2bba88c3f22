"""Streams rows out of Parquet; a row's number stands for its line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

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
    """Yield rows; numbers and times keep their type, lists become ``a, b``; nested objects and embeddings are left out.

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
    kind = array.type
    if pa.types.is_dictionary(kind):
        return _flat(array.dictionary_decode())
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _joined(array)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return _decoded(array)
    if pa.types.is_struct(kind) or pa.types.is_map(kind):
        return None
    return array


def _joined(lists: pa.Array) -> pa.Array | None:
    """Return ``a, b`` for each list, missing elements left out; None for embeddings, which are no text."""
    if pa.types.is_floating(lists.type.value_type):
        return None
    elements = lists.cast(pa.list_(pa.string())).to_pylist()
    joined = [None if row is None else ", ".join(part for part in row if part is not None) for row in elements]
    return pa.array(joined, pa.string())


def _decoded(array: pa.Array) -> pa.Array:
    """Return bytes as the text that they are (older writers do not say so); as they are where one is none."""
    try:
        return array.cast(pa.string())
    except pa.ArrowInvalid:
        return array
