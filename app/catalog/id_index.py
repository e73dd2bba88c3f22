"""Which row an item id has, without a million Python strings."""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from app.catalog.sorted_keys import SortedKeys
from app.contract.identity import key_of, keys_of
from app.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.contract.tensors import Int64Array, UInt64Array

LARGE_CATALOG: Final = 200_000
"""From so many items on, ids are found by sorted hashes; below, by a dictionary, which is faster but larger."""

_CHUNK: Final = 65_536


class IdIndex:
    """The bundle's ids, and whatever was changed since.

    Row r holds id ``r - 1`` of the bundle. Changes are kept beside: an id may move to another row or lose its row.

    Args:
        ids: N ids, row 1 first.
        keys: ``uint64[N]``, `app.contract.identity.key_of` of each.
        large_from: See `LARGE_CATALOG`.

    Raises:
        BundleError: If two ids have the same key.
    """

    def __init__(self, ids: pa.StringArray, keys: UInt64Array, *, large_from: int = LARGE_CATALOG) -> None:
        self._ids: pa.StringArray | list[str] = ids
        self._keys: SortedKeys | None = None
        self._row_of_key: dict[int, int] = {}
        self._row_of_id: dict[str, int] | None = None
        self._hashes: SortedKeys | None = None
        if len(ids) >= large_from:
            self._keys = SortedKeys(keys)
            all_differ = self._keys.unique
            # Python's own hash of a text costs a twentieth of its key
            hashes = SortedKeys(_hashes_of_array(ids))
            self._hashes = hashes if hashes.unique else None
        else:
            self._ids = ids.to_pylist()
            self._row_of_id = dict(zip(self._ids, range(1, len(ids) + 1), strict=True))
            self._row_of_key = dict(zip(keys.tolist(), range(1, len(ids) + 1), strict=True))
            all_differ = len(self._row_of_key) == len(ids)
        if not all_differ:
            raise BundleError("two item ids of the bundle are the same or have the same 64-bit key")
        self._base_rows = len(ids) + 1
        self._changed: dict[str, int] = {}
        self._changed_keys: dict[int, int] = {}
        self._id_of_new_row: dict[int, str] = {}

    def row_of(self, item_id: str) -> int:
        """Return the row of an id, 0 if it is unknown."""
        return int(self.rows_of_ids([item_id])[0])

    def bundle_row_of(self, item_id: str) -> int:
        """Return the row that the bundle gave an id, changed since or not; 0 if the bundle lacks it."""
        if self._row_of_id is not None:
            return self._row_of_id.get(item_id, 0)
        return int(self._bundle_rows_of_ids([item_id])[0])

    def rows_of_ids(self, ids: Sequence[str]) -> Int64Array:
        """Return ``int64[n]`` rows, 0 for unknown ids."""
        rows = self._bundle_rows_of_ids(ids)
        if self._changed:
            for position, item_id in enumerate(ids):
                if item_id in self._changed:
                    rows[position] = self._changed[item_id]
        return rows

    def rows_of_keys(self, keys: UInt64Array) -> Int64Array:
        """Return ``int64[n]`` rows of 64-bit keys, 0 for unknown ones."""
        rows = self._bundle_rows_of_keys(keys)
        if self._changed_keys:
            for position, key in enumerate(keys.tolist()):
                if key in self._changed_keys:
                    rows[position] = self._changed_keys[key]
        return rows

    def ids_of_rows(self, rows: Int64Array) -> list[str]:
        """Return the ids of rows, also of rows that their item has left; empty for rows that never had one."""
        numbers = rows.tolist()
        if isinstance(self._ids, list):
            base, bundle_ids = self._base_rows, self._ids
            return [bundle_ids[row - 1] if 0 < row < base else self._id_of_new_row.get(row, "") for row in numbers]
        in_bundle = (rows > 0) & (rows < self._base_rows)
        found = iter(self._ids.take(pa.array(rows[in_bundle] - 1)).to_pylist())
        return [
            next(found) if is_base else self._id_of_new_row.get(row, "")
            for row, is_base in zip(numbers, in_bundle.tolist(), strict=True)
        ]

    def change(self, item_id: str, row: int) -> None:
        """Let an id lead to another row, or with 0 to none."""
        self._changed[item_id] = row
        self._changed_keys[key_of(item_id)] = row
        if row >= self._base_rows:
            self._id_of_new_row[row] = item_id

    def clear_rows(self, rows: Int64Array) -> None:
        """Forget whose those rows were: they are given to somebody else."""
        for row in rows.tolist():
            self._id_of_new_row.pop(row, None)

    def forget_changes(self) -> None:
        """Let every id lead where the bundle says."""
        self._changed.clear()
        self._changed_keys.clear()

    def _bundle_rows_of_ids(self, ids: Sequence[str]) -> Int64Array:
        if self._row_of_id is not None:
            return np.fromiter(map(self._row_of_id.get, ids, repeat(0)), np.int64, len(ids))
        if self._hashes is not None:
            return self._hashes.numbers_of(_hashes_of(ids))
        return self._bundle_rows_of_keys(keys_of(ids))

    def _bundle_rows_of_keys(self, keys: UInt64Array) -> Int64Array:
        if self._keys is not None:
            return self._keys.numbers_of(keys)
        return np.fromiter(map(self._row_of_key.get, keys.tolist(), repeat(0)), np.int64, len(keys))


def _hashes_of(ids: Sequence[str]) -> UInt64Array:
    """Return ``uint64[n]``, this process's hash of each id."""
    return np.fromiter(map(hash, ids), np.int64, len(ids)).view(np.uint64)


def _hashes_of_array(ids: pa.StringArray) -> UInt64Array:
    """Return the hashes of many ids without holding all of them as Python strings."""
    parts = [_hashes_of(ids.slice(start, _CHUNK).to_pylist()) for start in range(0, len(ids), _CHUNK)]
    return np.concatenate([np.empty(0, np.uint64), *parts])
