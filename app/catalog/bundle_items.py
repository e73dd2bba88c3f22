"""What a bundle's ``items.parquet`` says of its items, read no earlier than it is needed."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from app.contract.item_columns import ITEM_ID, ITEM_KEY, OWN_COLUMNS, PRIOR, TEXT
from app.contract.manifest import ITEMS_FILE
from app.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from app.contract.tensors import Float32Array, Int64Array, UInt64Array

Int32Array: TypeAlias = "NDArray[np.int32]"

FEW_VALUES: Final = 10_000
"""Up to so many distinct values a column is kept as Python strings, which are faster to hand out."""


@dataclass(frozen=True, slots=True)
class _Column:
    """``int32[N + 1]`` codes by row, and the texts that they stand for; code 0 is the empty text."""

    codes: Int32Array
    values: list[str] | pa.StringArray


class BundleItems:
    """The items as the bundle has them.

    Ids, keys and priors are read at once. A display column is read when it is first asked for, or by `preload`, and
    kept as codes of its distinct values. Texts are read from the file each time, because only people ask for them,
    rarely.

    Args:
        bundle: The bundle folder.

    Attributes:
        ids: N ids, row 1 first.
        keys: ``uint64[N]``.
        priors: ``float32[N]``.
        columns: Names of the display columns.

    Raises:
        BundleError: If the file cannot be read or lacks a column.
    """

    def __init__(self, bundle: Path) -> None:
        self._path = bundle / ITEMS_FILE
        self._columns: dict[str, _Column] = {}
        self._lock = threading.Lock()
        table = self._read([ITEM_ID, PRIOR, ITEM_KEY])
        ids = table.column(ITEM_ID).combine_chunks()
        self.ids: pa.StringArray = ids.cast(pa.large_string() if pa.types.is_large_string(ids.type) else pa.string())
        self.keys: UInt64Array = table.column(ITEM_KEY).to_numpy().astype(np.uint64)
        self.priors: Float32Array = table.column(PRIOR).to_numpy().astype(np.float32)
        names = pq.read_schema(self._path).names
        self.columns: tuple[str, ...] = tuple(name for name in names if name not in OWN_COLUMNS)
        del table, ids
        pa.default_memory_pool().release_unused()

    def __len__(self) -> int:
        """Return N."""
        return len(self.priors)

    def values_of(self, column: str, rows: Int64Array) -> list[str]:
        """Return a display column of rows; the empty text for row 0, missing values and unknown columns."""
        with self._lock:
            if column not in self._columns:
                self._columns[column] = self._read_column(column)
            found = self._columns[column]
        codes = found.codes[rows]
        if isinstance(found.values, list):
            return [found.values[code] for code in codes.tolist()]
        return list(found.values.take(pa.array(codes)).to_pylist())

    def preload(self) -> None:
        """Read the columns that caps and diversity may want: those with at most `FEW_VALUES` distinct values."""
        for column in self.columns:
            found = self._read_column(column)
            if isinstance(found.values, list):
                with self._lock:
                    self._columns[column] = found
            del found
            pa.default_memory_pool().release_unused()

    def describe(self, row: int) -> tuple[str, dict[str, str]]:
        """Return text and display columns of a row of the bundle; it reads the file."""
        values = self._read_rows([TEXT, *self.columns], [row])[0]
        text = values.pop(TEXT) or ""
        return text, {name: str(value) for name, value in values.items() if value is not None}

    def texts_of(self, rows: list[int]) -> list[str]:
        """Return the texts of rows of the bundle; it reads the file."""
        return [values[TEXT] or "" for values in self._read_rows([TEXT], rows)]

    def _read_rows(self, names: list[str], rows: list[int]) -> list[dict[str, Any]]:
        """Read some rows, and no more row groups of the file than they lie in."""
        found: dict[int, dict[str, Any]] = {}
        try:
            with pq.ParquetFile(self._path, memory_map=True) as file:
                first = 1
                for group in range(file.num_row_groups):
                    behind = first + file.metadata.row_group(group).num_rows
                    wanted = sorted({row for row in rows if first <= row < behind})
                    if wanted:
                        table = file.read_row_group(group, columns=names).take([row - first for row in wanted])
                        found |= zip(wanted, table.to_pylist(), strict=True)
                    first = behind
        except (OSError, pa.ArrowException) as error:
            raise BundleError(f"{ITEMS_FILE} cannot be read: {error}") from error
        pa.default_memory_pool().release_unused()
        return [dict(found[row]) for row in rows]

    def _read_column(self, column: str) -> _Column:
        codes = np.zeros(len(self) + 1, np.int32)
        if column not in self.columns:
            return _Column(codes, [""])
        values = self._read([column]).column(column)
        try:
            texts = values.cast(pa.string())
        except pa.ArrowException:  # lists, structs: as Python writes them
            texts = pa.chunked_array([[None if value is None else str(value) for value in values.to_pylist()]])
        encoded = texts.fill_null("").combine_chunks().dictionary_encode()
        codes[1:] = encoded.indices.to_numpy() + 1
        distinct = pa.concat_arrays([pa.array([""]), encoded.dictionary])
        return _Column(codes, distinct.to_pylist() if len(distinct) <= FEW_VALUES else distinct)

    def _read(self, names: list[str]) -> pa.Table:
        try:
            return pq.read_table(self._path, columns=names, memory_map=True)
        except (OSError, pa.ArrowException, KeyError) as error:
            raise BundleError(f"{ITEMS_FILE} cannot be read: {error}") from error
