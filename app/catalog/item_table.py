"""The items that can be ranked: ids, rows, vectors, priors and columns, with what was changed since the bundle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from app.catalog.id_index import LARGE_CATALOG, IdIndex
from app.catalog.text_rows import TextRows
from app.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.catalog.bundle_items import BundleItems
    from app.catalog.vector_table import FloatTable, VectorTable
    from app.contract.tensors import Float32Array, Int64Array, UInt64Array

MIN_PRIOR: Final = -np.inf
"""The prior of row 0, which is no item."""

MOST_TEXTS: Final = 4096
"""Texts without an item whose rows are remembered."""


@dataclass(frozen=True, slots=True)
class ItemChange:
    """One change, ready to be applied.

    Attributes:
        item_id: Item id.
        text: Its new text.
        columns: Display columns that it sets; others keep the bundle's values.
        vector_D: ``float32[D]``; None if the item is deleted or has the text, and so the row, that the bundle gave it.
        deleted: Whether it becomes unknown.
    """

    item_id: str
    text: str
    columns: dict[str, str]
    vector_D: Float32Array | None
    deleted: bool = False


class ItemTable:
    """Answers the synchronous part of `app.ranking.ports.ItemCatalog`.

    A changed text gets a row of its own with the encoder's vector: what training learnt about the item beyond its text
    no longer applies to it. It keeps its prior, and it gets its old row back when it gets its old text back. A new item
    has the median prior.

    Every change reaches the ranker before any id leads to it: the rows are written, ``on_table_changed`` is called with
    the whole table and the rows, then ids move. Nothing here awaits, so the event loop's other tasks see all of it or
    nothing.

    Args:
        items: The bundle's items.
        vectors: The table.
        on_table_changed: Called with the table and the rows whenever rows were written.
        large_from: See `app.catalog.id_index.LARGE_CATALOG`.

    Raises:
        BundleError: If items and vectors differ in number.
    """

    def __init__(
        self,
        items: BundleItems,
        vectors: VectorTable,
        *,
        on_table_changed: Callable[[FloatTable, Int64Array], None],
        large_from: int = LARGE_CATALOG,
    ) -> None:
        if len(items) + 1 != vectors.base_rows:
            raise BundleError(
                f"the bundle has {len(items)} items and {vectors.base_rows} rows, expected one row more than items"
            )
        self._items = items
        self._vectors = vectors
        self._on_table_changed = on_table_changed
        self._index = IdIndex(items.ids, items.keys, large_from=large_from)
        self._text_rows = TextRows(capacity=MOST_TEXTS)
        neutral = float(np.median(items.priors)) if len(items) else 0.0
        self._priors = np.full(vectors.capacity, neutral, np.float32)
        self._neutral = neutral
        self._priors[0] = MIN_PRIOR
        self._priors[1 : vectors.base_rows] = items.priors
        self._changes: dict[str, ItemChange] = {}
        self._columns_of_row: dict[int, tuple[dict[str, str], int]] = {}
        self._live_rows: Int64Array | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the display columns."""
        return self._items.columns

    @property
    def table(self) -> FloatTable:
        """``[rows, D]`` as the ranker takes it."""
        return self._vectors.view

    @property
    def item_count(self) -> int:
        """Items that can be ranked."""
        return len(self.live_rows())

    @property
    def online_count(self) -> int:
        """Items that were added, changed or deleted since the bundle."""
        return len(self._changes)

    def rows_of_ids(self, ids: Sequence[str]) -> Int64Array:
        """Return ``int64[n]`` rows, 0 for unknown ids."""
        return self._index.rows_of_ids(ids)

    def rows_of_keys(self, keys: UInt64Array) -> Int64Array:
        """Return ``int64[n]`` rows of 64-bit item keys, 0 for unknown ones."""
        return self._index.rows_of_keys(keys)

    def ids_of_rows(self, rows: Int64Array) -> list[str]:
        """Return the ids of rows; empty for rows of texts without an item."""
        return self._index.ids_of_rows(rows)

    def live_rows(self) -> Int64Array:
        """Return every rankable row, ascending; not to be written to."""
        if self._live_rows is None:
            live = np.arange(1, self._vectors.base_rows)
            gone = [self._index.bundle_row_of(item_id) for item_id in self._changes]
            current = [self._index.row_of(item_id) for item_id in self._changes]
            if self._changes:
                live = live[~np.isin(live, gone)]
                live = np.union1d(live, [row for row in current if row]).astype(np.int64)
            self._live_rows = live
            self._live_rows.flags.writeable = False
        return self._live_rows

    def prior_of_rows(self, rows: Int64Array) -> Float32Array:
        """Return ``float32[n]`` popularity priors; higher is more popular, row 0 is -inf."""
        return self._priors[rows]

    def vectors_of_rows(self, rows: Int64Array) -> Float32Array:
        """Return ``float32[n, D]`` item vectors."""
        return self._vectors.vectors_of_rows(rows)

    def column_of_rows(self, column: str, rows: Int64Array) -> list[str]:
        """Return an item column (for example ``category``) of rows; empty where it is unknown."""
        asked = np.where(rows < self._vectors.base_rows, rows, 0)
        moved = {}
        if self._columns_of_row:
            for position, row in enumerate(rows.tolist()):
                if row in self._columns_of_row:
                    columns, asked[position] = self._columns_of_row[row]
                    moved[position] = columns.get(column)
        found = self._items.values_of(column, asked)
        for position, value in moved.items():
            if value is not None:
                found[position] = value
        return found

    def apply(self, changes: Sequence[ItemChange]) -> list[ItemChange]:
        """Apply changes in order, the last one of an item counting.

        Returns:
            Those that there are no spare rows for; their items are left as they were.
        """
        latest = {change.item_id: change for change in changes}
        with_vector = [change for change in latest.values() if change.vector_D is not None]
        room = self._vectors.room()
        with_vector, left_out = with_vector[:room], with_vector[room:]
        for change in left_out:
            del latest[change.item_id]
        new_rows: dict[str, int] = {}
        if with_vector:
            vectors = np.stack([change.vector_D for change in with_vector if change.vector_D is not None])
            rows = self._add_rows(vectors)
            new_rows = dict(zip((change.item_id for change in with_vector), rows.tolist(), strict=True))
        left_rows = [self._move(change, new_rows.get(item_id)) for item_id, change in latest.items()]
        self._vectors.release(left_rows)
        self._live_rows = None
        return left_out

    def start_over(self) -> None:
        """Forget every change: the store that kept them has lost them."""
        self._vectors.release([self._index.row_of(item_id) for item_id in self._changes])
        self._index.forget_changes()
        self._changes.clear()
        self._columns_of_row.clear()
        self._live_rows = None

    def _add_rows(self, vectors_ND: Float32Array) -> Int64Array:
        rows = self._vectors.add(vectors_ND)
        self._priors[rows] = self._neutral
        self._index.clear_rows(rows)
        self._on_table_changed(self._vectors.view, rows)
        return rows

    def _move(self, change: ItemChange, new_row: int | None) -> int:
        """Let the item's id lead to its row; return the row that it leaves."""
        old_row = self._index.row_of(change.item_id)
        bundle_row = self._index.bundle_row_of(change.item_id)
        row = 0 if change.deleted else (new_row or bundle_row)
        self._changes[change.item_id] = change
        self._index.change(change.item_id, row)
        self._columns_of_row.pop(old_row, None)
        if row:
            self._columns_of_row[row] = (change.columns, bundle_row)
            if bundle_row:
                self._priors[row] = self._priors[bundle_row]
        return old_row if old_row != row else 0
