"""Streams rows out of Parquet; a row's number stands for its line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
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
    """Yield rows; numbers and times keep their type, lists become ``a, b``, nested objects are left out.

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
        return pc.binary_join(array.cast(pa.list_(pa.string())), ", ")
    if pa.types.is_struct(kind) or pa.types.is_map(kind):
        return None
    return array
