"""What a bundle's ``items.parquet`` says of its items, read no earlier than it is needed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from app.contract.manifest import ITEMS_FILE
from app.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from app.contract.tensors import Float32Array, UInt64Array

Int32Array: TypeAlias = "NDArray[np.int32]"

_OWN_COLUMNS = ("item_id", "text", "prior", "item_key")


class BundleItems:
    """The items as the bundle has them.

    Ids, keys and priors are read at once. A display column is read when it is first asked for and kept as codes of its
    distinct values; texts are read from the file each time, because only people ask for them, rarely.

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
        self._values: dict[str, tuple[Int32Array, list[str]]] = {}
        self._lock = threading.Lock()
        table = self._read(["item_id", "prior", "item_key"])
        ids = table.column("item_id").combine_chunks()
        self.ids: pa.StringArray = ids.cast(pa.large_string() if pa.types.is_large_string(ids.type) else pa.string())
        self.keys: UInt64Array = table.column("item_key").to_numpy().astype(np.uint64)
        self.priors: Float32Array = table.column("prior").to_numpy().astype(np.float32)
        names = pq.read_schema(self._path).names
        self.columns: tuple[str, ...] = tuple(name for name in names if name not in _OWN_COLUMNS)

    def __len__(self) -> int:
        """Return N."""
        return len(self.priors)

    def values_of(self, column: str) -> tuple[Int32Array, list[str]]:
        """Return a display column as ``int32[N + 1]`` codes by row and the values that they stand for.

        Code 0 is the empty text: row 0, items without a value, and every row of an unknown column.
        """
        with self._lock:
            if column not in self._values:
                self._values[column] = self._read_values(column)
            return self._values[column]

    def describe(self, row: int) -> tuple[str, dict[str, str]]:
        """Return text and display columns of a row of the bundle; it reads the file."""
        table = self._read(["text", *self.columns]).slice(row - 1, 1).to_pylist()[0]
        text = table.pop("text") or ""
        return text, {name: str(value) for name, value in table.items() if value is not None}

    def texts_of(self, rows: list[int]) -> list[str]:
        """Return the texts of rows of the bundle; it reads the file."""
        if not rows:
            return []
        texts = self._read(["text"]).column("text").take([row - 1 for row in rows])
        return [text or "" for text in texts.to_pylist()]

    def _read_values(self, column: str) -> tuple[Int32Array, list[str]]:
        if column not in self.columns:
            return np.zeros(len(self) + 1, np.int32), [""]
        values = self._read([column]).column(column)
        try:
            texts = values.cast(pa.string())
        except pa.ArrowException:  # lists, structs: as Python writes them
            texts = pa.chunked_array([[None if value is None else str(value) for value in values.to_pylist()]])
        encoded = texts.fill_null("").combine_chunks().dictionary_encode()
        codes = np.zeros(len(self) + 1, np.int32)
        codes[1:] = encoded.indices.to_numpy() + 1
        return codes, ["", *encoded.dictionary.to_pylist()]

    def _read(self, names: list[str]) -> pa.Table:
        try:
            return pq.read_table(self._path, columns=names, memory_map=True)
        except (OSError, pa.ArrowException, KeyError) as error:
            raise BundleError(f"{ITEMS_FILE} cannot be read: {error}") from error
