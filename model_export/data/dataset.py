"""Prepared interactions as flat arrays, grouped by user and in time order."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from model_export.data import columns
from model_export.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from app.contract.tensors import Float32Array, Int64Array


@dataclass(frozen=True, slots=True)
class Dataset:
    """Everything that was prepared; U users, E events, N items.

    Events are grouped by user (users in order of first appearance in the file) and ordered by time inside a user; ties
    keep file order. Row r of the item table is item ``r - 1`` of ``items``; row 0 is padding.

    Attributes:
        items: The table of ``items.parquet``: ``item_id``, ``text`` and whatever the text was made of.
        user_ids: U ids.
        actions: Action names in id order, most frequent first.
        user_offsets: ``int64[U + 1]``: the events of user u are ``user_offsets[u] : user_offsets[u + 1]``.
        rows: ``int64[E]`` item rows, 1..N.
        action_ids: ``int64[E]``.
        timestamps_ms: ``int64[E]`` epoch milliseconds.
        ratings: ``float32[E]``, NaN where there is none.
        fingerprint: SHA-256 of the two files.
    """

    items: pa.Table
    user_ids: list[str]
    actions: tuple[str, ...]
    user_offsets: Int64Array
    rows: Int64Array
    action_ids: Int64Array
    timestamps_ms: Int64Array
    ratings: Float32Array
    fingerprint: str

    @property
    def item_count(self) -> int:
        """N, without the padding row."""
        return int(self.items.num_rows)

    @property
    def user_count(self) -> int:
        """U."""
        return len(self.user_ids)

    def item_ids(self) -> list[str]:
        """Return the N item ids in row order (row 1 first)."""
        return list(self.items.column(columns.ITEM_ID).to_pylist())

    def item_texts(self) -> list[str]:
        """Return the N item texts in row order (row 1 first)."""
        return list(self.items.column(columns.TEXT).to_pylist())

    def users_of_events(self) -> Int64Array:
        """Return ``int64[E]``, the user index of each event."""
        return np.repeat(np.arange(self.user_count), np.diff(self.user_offsets))


def read_dataset(folder: Path) -> Dataset:
    """Read the two files that ``prepare`` wrote.

    Raises:
        FileNotFoundError: If one of them is missing.
        DataError: If an interaction names an item that ``items.parquet`` lacks.
    """
    items = pq.read_table(folder / columns.ITEMS_FILE)
    events = pq.read_table(folder / columns.INTERACTIONS_FILE)
    item_position = pa.compute.index_in(events.column(columns.ITEM_ID), items.column(columns.ITEM_ID))
    if item_position.null_count:
        message = f"{item_position.null_count} interactions name items that {columns.ITEMS_FILE} lacks"
        raise DataError(message)
    rows = item_position.to_numpy().astype(np.int64) + 1
    encoded = events.column(columns.USER_ID).combine_chunks().dictionary_encode()
    users = encoded.indices.to_numpy().astype(np.int64)
    timestamps_ms = events.column(columns.TIMESTAMP).to_numpy().astype(np.int64)
    order = np.lexsort((timestamps_ms, users))
    actions, action_ids = _action_ids(events.column(columns.ACTION).to_pylist())
    offsets = np.zeros(len(encoded.dictionary) + 1, np.int64)
    np.cumsum(np.bincount(users, minlength=len(encoded.dictionary)), out=offsets[1:])
    return Dataset(
        items=items,
        user_ids=encoded.dictionary.to_pylist(),
        actions=actions,
        user_offsets=offsets,
        rows=rows[order],
        action_ids=action_ids[order],
        timestamps_ms=timestamps_ms[order],
        ratings=events.column(columns.RATING).to_numpy().astype(np.float32)[order],
        fingerprint=_fingerprint(folder),
    )


def _action_ids(names: list[str]) -> tuple[tuple[str, ...], Int64Array]:
    """Number the actions, most frequent first, ties by name."""
    found, inverse, counts = np.unique(np.asarray(names, dtype=str), return_inverse=True, return_counts=True)
    order = np.lexsort((found, -counts))
    ids = np.empty(len(found), np.int64)
    ids[order] = np.arange(len(found))
    return tuple(str(found[position]) for position in order), ids[inverse]


def _fingerprint(folder: Path) -> str:
    digest = hashlib.sha256()
    for name in (columns.INTERACTIONS_FILE, columns.ITEMS_FILE):
        with (folder / name).open("rb") as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()
