"""Raw interaction rows -> checked, coded columns in memory -> ``interactions.parquet`` in time order.

Ids are kept as small integers, so 25 million rows take about 0.6 GB before they are sorted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from app.contract.manifest_rules import MAX_ACTIONS, MAX_NAME_CHARACTERS
from model_export.data import columns
from model_export.data.bad_rows import BadRows, Kind
from model_export.data.id_texts import id_texts
from model_export.data.timestamps import NONSENSE, epoch_ms
from model_export.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from app.contract.tensors import Float32Array, Int64Array
    from model_export.data.readers.raw_rows import RawRows

ROWS_A_GROUP: Final = 1_000_000

MISSING: Final = -1
"""Code of an empty or null string."""

UNKNOWN: Final = -2
"""Code of a string that a book that does not grow lacks."""

_MIXER: Final = np.uint64(0x9E3779B97F4A7C15)
"""An odd number near 2^64 over the golden ratio: multiplying by it spreads neighbours (Knuth, TAOCP 6.4)."""

SCHEMA: Final = pa.schema(
    [
        (columns.USER_ID, pa.string()),
        (columns.ITEM_ID, pa.string()),
        (columns.ACTION, pa.string()),
        (columns.TIMESTAMP, pa.int64()),
        (columns.RATING, pa.float32()),
    ]
)


class CodeBook:
    """Numbers strings in order of first appearance."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        self._code_of = {name: code for code, name in enumerate(names)}

    @property
    def names(self) -> list[str]:
        """All strings, in code order."""
        return list(self._code_of)

    def codes(self, values: pa.Array, *, grow: bool) -> NDArray[np.int32]:
        """Return ``int32[n]``: `MISSING` for empty or null strings, `UNKNOWN` for new ones where ``grow`` is false."""
        encoded = id_texts(values).dictionary_encode()
        of_value = np.full(len(encoded.dictionary) + 1, MISSING, np.int32)
        for position, name in enumerate(encoded.dictionary.to_pylist()):
            if name:
                unknown = len(self._code_of) if grow else UNKNOWN
                of_value[position] = (
                    self._code_of.setdefault(name, unknown) if grow else self._code_of.get(name, unknown)
                )
        indices = pc.fill_null(encoded.indices, len(encoded.dictionary)).to_numpy(zero_copy_only=False)
        codes: NDArray[np.int32] = of_value[indices]
        return codes


@dataclass(frozen=True, slots=True)
class _Coded:
    """A batch of good rows."""

    users: NDArray[np.int32]
    items: NDArray[np.int32]
    actions: NDArray[np.int16]
    timestamps_ms: Int64Array
    ratings: Float32Array


class InteractionTable:
    """Collects interactions, refusing bad rows one by one, and writes them in time order (ties in the order added).

    Args:
        item_ids: The known items; None where the source has no items, so that every id is one.
        action: The action of rows that name none.
        time_unit: One of `model_export.data.timestamps.TIME_UNITS`.
        bad_rows: Where bad rows are counted.
    """

    def __init__(self, item_ids: Sequence[str] | None, *, action: str, time_unit: str, bad_rows: BadRows) -> None:
        self._users = CodeBook()
        self._items = CodeBook(item_ids or ())
        self._items_grow = item_ids is None
        self._actions = CodeBook([action])
        self._time_unit = time_unit
        self._bad_rows = bad_rows
        self._batches: list[_Coded] = []

    @property
    def item_ids(self) -> list[str]:
        """All known items, in row order."""
        return self._items.names

    def __len__(self) -> int:
        """Return the number of good rows so far."""
        return sum(len(batch.users) for batch in self._batches)

    def user_count(self) -> int:
        """Return the number of users with a good row."""
        return len(np.unique(np.concatenate([np.unique(batch.users) for batch in self._batches])))

    def action_counts(self) -> dict[str, int]:
        """Return how many good rows each action has, the most frequent first."""
        counts = np.bincount(np.concatenate([batch.actions for batch in self._batches]), minlength=1)
        order = np.argsort(-counts, kind="stable")
        names = self._actions.names
        return {names[code]: int(counts[code]) for code in order.tolist() if counts[code]}

    def time_range_ms(self) -> tuple[int, int]:
        """Return the earliest and the latest time of a good row, epoch milliseconds."""
        times_ms = [batch.timestamps_ms for batch in self._batches if len(batch.timestamps_ms)]
        return int(min(times.min() for times in times_ms)), int(max(times.max() for times in times_ms))

    def repetition_count(self) -> int:
        """Return how many good rows say in user, item, action and time what an earlier one says."""
        keys = np.concatenate([_row_keys(batch) for batch in self._batches])
        keys.sort()
        return int((keys[1:] == keys[:-1]).sum())

    def item_is_used(self) -> NDArray[np.bool_]:
        """Return ``bool[items]``: which items have a good row."""
        used = np.zeros(len(self._items.names), bool)
        for batch in self._batches:
            used[batch.items] = True
        return used

    def add(self, rows: RawRows) -> None:
        """Check a batch and keep its good rows.

        Raises:
            DataError: If a required column is missing, or the action is no kind of event: there are too many.
        """
        for name in (columns.USER_ID, columns.ITEM_ID, columns.TIMESTAMP):
            if name not in rows.columns:
                raise DataError(f"{rows.file} has no column {name!r}; its columns are {', '.join(rows.columns)}")
        users = self._users.codes(rows.columns[columns.USER_ID], grow=True)
        items = self._items.codes(rows.columns[columns.ITEM_ID], grow=self._items_grow)
        timestamps_ms = epoch_ms(rows.columns[columns.TIMESTAMP], unit=self._time_unit)
        ratings, bad_ratings = _ratings(rows)
        actions = self._action_codes(rows)
        good = np.ones(len(rows), bool)
        for bad, kind in (
            (users == MISSING, Kind("empty user_id", lambda _: "the user_id is empty")),
            (items == MISSING, Kind("empty item_id", lambda _: "the item_id is empty")),
            (
                items == UNKNOWN,
                Kind("unknown item", lambda at: f"{_shown(rows, columns.ITEM_ID, at)} is not in the item file"),
            ),
            (timestamps_ms == NONSENSE, Kind("bad timestamp", lambda at: self._bad_time(rows, at))),
            (np.isin(actions, self._unfit_actions()), Kind("bad action", lambda at: _unfit(rows, at))),
            (bad_ratings, Kind("bad rating", lambda at: f"{_shown(rows, columns.RATING, at)} is no number")),
        ):
            self._bad_rows.add_many(rows.file, rows.lines, bad & good, kind)
            good &= ~bad
        self._batches.append(_Coded(users[good], items[good], actions[good], timestamps_ms[good], ratings[good]))

    def write(self, path: Path) -> None:
        """Write ``interactions.parquet``.

        Raises:
            DataError: If there is no good row.
        """
        if not len(self):
            raise self._bad_rows.nothing_left("interaction")
        coded = self._sorted()
        users, items, actions = (
            pa.array(book.names, pa.string()) for book in (self._users, self._items, self._actions)
        )
        with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
            for first in range(0, len(coded.users), ROWS_A_GROUP):
                group = slice(first, first + ROWS_A_GROUP)
                ratings = coded.ratings[group]
                arrays = [
                    users.take(pa.array(coded.users[group])),
                    items.take(pa.array(coded.items[group])),
                    actions.take(pa.array(coded.actions[group])),
                    pa.array(coded.timestamps_ms[group]),
                    pa.array(ratings, mask=np.isnan(ratings)),
                ]
                writer.write_table(pa.Table.from_arrays(arrays, schema=SCHEMA))

    def _sorted(self) -> _Coded:
        batches, self._batches = self._batches, []
        timestamps_ms = np.concatenate([batch.timestamps_ms for batch in batches])
        order = np.argsort(timestamps_ms, kind="stable")
        coded = _Coded(
            users=np.concatenate([batch.users for batch in batches])[order],
            items=np.concatenate([batch.items for batch in batches])[order],
            actions=np.concatenate([batch.actions for batch in batches])[order],
            timestamps_ms=timestamps_ms[order],
            ratings=np.concatenate([batch.ratings for batch in batches])[order],
        )
        self._batches = [coded]
        return coded

    def _action_codes(self, rows: RawRows) -> NDArray[np.int16]:
        if columns.ACTION not in rows.columns:
            return np.zeros(len(rows), np.int16)
        codes = self._actions.codes(rows.columns[columns.ACTION], grow=True)
        if len(self._actions.names) > MAX_ACTIONS:
            raise DataError(
                f"{rows.file} has more than {MAX_ACTIONS:,} actions, the latest {self._actions.names[-1][:60]!r}; "
                "expected a few kinds of events such as view and purchase"
            )
        return np.maximum(codes, 0).astype(np.int16)

    def _unfit_actions(self) -> list[int]:
        """Return the codes of names that no bundle takes."""
        names = enumerate(self._actions.names)
        return [code for code, name in names if len(name) > MAX_NAME_CHARACTERS or not name.isprintable()]

    def _bad_time(self, rows: RawRows, at: int) -> str:
        expected = "seconds, milliseconds or ISO 8601" if self._time_unit == "auto" else f"{self._time_unit} since 1970"
        return f"{_shown(rows, columns.TIMESTAMP, at)} is no time between 1970 and 2100, expected {expected}"


def _row_keys(batch: _Coded) -> NDArray[np.uint64]:
    """Return ``uint64[n]`` that are the same for the same user, item, action and time, and else practically never."""
    keys = np.zeros(len(batch.users), np.uint64)
    for column in (batch.users, batch.items, batch.actions, batch.timestamps_ms):
        keys = (keys ^ (keys >> np.uint64(29)) ^ column.astype(np.uint64)) * _MIXER
    return keys


def _shown(rows: RawRows, name: str, at: int) -> str:
    return f"the {name} {str(rows.columns[name][at].as_py())[:60]!r}"


def _unfit(rows: RawRows, at: int) -> str:
    return (
        f"{_shown(rows, columns.ACTION, at)} is no action, expected at most {MAX_NAME_CHARACTERS} printable characters"
    )


def _ratings(rows: RawRows) -> tuple[Float32Array, NDArray[np.bool_]]:
    """Return ``float32[n]`` with NaN for missing ones, and ``bool[n]``: which are neither missing nor numbers."""
    if columns.RATING not in rows.columns:
        return np.full(len(rows), np.nan, np.float32), np.zeros(len(rows), bool)
    given: Any = rows.columns[columns.RATING]
    if pa.types.is_string(given.type) or pa.types.is_large_string(given.type):
        given = pc.if_else(pc.equal(pc.utf8_trim_whitespace(given), ""), None, given)
    try:
        numbers = given.cast(pa.float32())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        numbers = pa.array([_number(text) for text in given.to_pylist()], pa.float32())
    ratings = pc.fill_null(numbers, np.nan).to_numpy(zero_copy_only=False).astype(np.float32)
    missing = pc.is_null(given).to_numpy(zero_copy_only=False)
    return ratings, ~np.isfinite(ratings) & ~missing


def _number(text: Any) -> float:
    try:
        return float(text)
    except (TypeError, ValueError):
        return float("nan")
