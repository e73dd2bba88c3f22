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
        DataError: If one of them is missing or no Parquet, or an interaction names an item that ``items.parquet``
            lacks.
    """
    items = read_items(folder)
    events = _table(folder, columns.INTERACTIONS_FILE)
    item_names, item_codes = _codes(events.column(columns.ITEM_ID))
    row_of_code = pa.compute.index_in(item_names, items.column(columns.ITEM_ID))
    if row_of_code.null_count:
        missing = item_names.filter(pa.compute.is_null(row_of_code))
        raise DataError(
            f"{columns.INTERACTIONS_FILE} names {len(missing)} items that {columns.ITEMS_FILE} lacks, expected none; "
            f"the first is {missing[0].as_py()!r}"
        )
    user_names, users = _codes(events.column(columns.USER_ID))
    timestamps_ms = events.column(columns.TIMESTAMP).to_numpy().astype(np.int64)
    in_time_order = bool((timestamps_ms[1:] >= timestamps_ms[:-1]).all())
    order = np.argsort(users, kind="stable") if in_time_order else np.lexsort((timestamps_ms, users))
    actions, action_ids = _action_ids(events.column(columns.ACTION))
    offsets = np.zeros(len(user_names) + 1, np.int64)
    np.cumsum(np.bincount(users, minlength=len(user_names)), out=offsets[1:])
    return Dataset(
        items=items,
        user_ids=user_names.to_pylist(),
        actions=actions,
        user_offsets=offsets,
        rows=row_of_code.to_numpy(zero_copy_only=False).astype(np.int64)[item_codes[order]] + 1,
        action_ids=action_ids[order],
        timestamps_ms=timestamps_ms[order],
        ratings=events.column(columns.RATING).to_numpy().astype(np.float32)[order],
        fingerprint=fingerprint_of(folder),
    )


def read_items(folder: Path) -> pa.Table:
    """Read ``items.parquet`` alone.

    Raises:
        DataError: If it is missing or no Parquet.
    """
    return _table(folder, columns.ITEMS_FILE)


def _table(folder: Path, name: str) -> pa.Table:
    path = _existing(folder, name)
    try:
        return pq.read_table(path)
    except pa.ArrowInvalid as error:
        raise DataError(f"{path} is no Parquet file: {' '.join(str(error).split())}") from error


def _existing(folder: Path, name: str) -> Path:
    if not (folder / name).is_file():
        raise DataError(f"{folder} has no {name}, expected a folder that `prepare` or `simulate` wrote")
    return folder / name


def _codes(column: pa.ChunkedArray) -> tuple[pa.Array, Int64Array]:
    """Number the values of a column in order of first appearance; return the values and ``int64[E]`` codes."""
    encoded = column.dictionary_encode().unify_dictionaries()
    if not encoded.num_chunks:
        return pa.array([], pa.string()), np.empty(0, np.int64)
    indices = np.concatenate([chunk.indices.to_numpy(zero_copy_only=False) for chunk in encoded.chunks])
    return encoded.chunk(encoded.num_chunks - 1).dictionary, indices.astype(np.int64)


def _action_ids(column: pa.ChunkedArray) -> tuple[tuple[str, ...], Int64Array]:
    """Number the actions, most frequent first, ties by name."""
    names, codes = _codes(column)
    found = np.asarray(names.to_pylist(), dtype=str)
    order = np.lexsort((found, -np.bincount(codes, minlength=len(found))))
    ids = np.empty(len(found), np.int64)
    ids[order] = np.arange(len(found))
    return tuple(str(found[position]) for position in order), ids[codes]


def fingerprint_of(folder: Path) -> str:
    """Return the SHA-256 of the two files that ``prepare`` wrote.

    Raises:
        DataError: If one of them is missing.
    """
    digest = hashlib.sha256()
    for name in (columns.INTERACTIONS_FILE, columns.ITEMS_FILE):
        with _existing(folder, name).open("rb") as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()
