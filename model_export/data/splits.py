"""Which events are trained on, validated on and tested on."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from model_export.errors import DataError

if TYPE_CHECKING:
    from app.contract.tensors import Int64Array
    from model_export.data.dataset import Dataset

MIN_EVENTS_TO_HOLD_OUT: Final = 3
"""A user with fewer events is trained on whole: nothing would be left to predict from."""

LEAVE_ONE_OUT: Final = "leave-one-out"
TEMPORAL: Final = "temporal"
COLD: Final = "cold"
SPLIT_NAMES: Final = (LEAVE_ONE_OUT, TEMPORAL, COLD)

COLD_ITEM_SHARE: Final = 0.1
COLD_ITEM_SEED: Final = 7

NO_ROWS: Final = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Targets:
    """T events to predict, each from the user's events before it.

    Attributes:
        events: ``int64[T]`` positions in the dataset's event arrays.
        history_ends: ``int64[T]``: the visible history of target t is
            ``user_offsets[users[t]] : history_ends[t]`` (its items are also what *masked* evaluation leaves out).
        users: ``int64[T]`` user indices.
    """

    events: Int64Array
    history_ends: Int64Array
    users: Int64Array

    def __len__(self) -> int:
        """Return T."""
        return len(self.events)

    def take(self, positions: Int64Array | slice) -> Targets:
        """Return the targets at ``positions`` (``int64[n]``, ``bool[T]`` or a slice), in that order."""
        return Targets(self.events[positions], self.history_ends[positions], self.users[positions])


@dataclass(frozen=True, slots=True)
class Split:
    """A division of a dataset's events.

    Attributes:
        name: ``leave-one-out``, ``temporal`` or ``cold``.
        train_ends: ``int64[U]``: user u trains on ``user_offsets[u] : train_ends[u]``.
        refit_ends: ``int64[U]``: the same for a model that is asked with the test set, which may know the time of the
            validation too: everything before the test.
        validation: What early stopping and every choice looks at.
        test: What is reported.
        cold_rows: ``int64[n]`` ascending item rows that training must not know of: they are in no training history, no
            validation target, no visible history, and must never be negatives. Empty but for ``cold``.
    """

    name: str
    train_ends: Int64Array
    refit_ends: Int64Array
    validation: Targets
    test: Targets
    cold_rows: Int64Array = dataclasses.field(default_factory=lambda: NO_ROWS)


def events_before(data: Dataset, ends_U: Int64Array) -> Int64Array:
    """Return ``int64[V]``, the positions of the events before each user's end, users in order, oldest first."""
    return np.flatnonzero(np.arange(len(data.rows)) < np.repeat(ends_U, np.diff(data.user_offsets)))


def split_by_name(data: Dataset, name: str) -> tuple[Dataset, Split]:
    """Return the split and the dataset that its positions refer to.

    The dataset is ``data`` itself, but for ``cold``, which takes events out; rows of items stay the same.

    Raises:
        DataError: If ``name`` is none of `SPLIT_NAMES`, or the data cannot be split like that.
    """
    if name == LEAVE_ONE_OUT:
        return data, leave_one_out(data)
    if name == TEMPORAL:
        return data, temporal(data)
    if name == COLD:
        return cold_items(data)
    raise DataError(f"there is no split {name!r}, expected one of {', '.join(SPLIT_NAMES)}")


def leave_one_out(data: Dataset) -> Split:
    """Hold out each user's last event as test and the one before as validation."""
    starts, ends = data.user_offsets[:-1], data.user_offsets[1:]
    held = np.flatnonzero(ends - starts >= MIN_EVENTS_TO_HOLD_OUT)
    train_ends, refit_ends = ends.copy(), ends.copy()
    train_ends[held] -= 2
    refit_ends[held] -= 1
    return Split(
        name=LEAVE_ONE_OUT,
        train_ends=train_ends,
        refit_ends=refit_ends,
        validation=Targets(events=ends[held] - 2, history_ends=ends[held] - 2, users=held),
        test=Targets(events=ends[held] - 1, history_ends=ends[held] - 1, users=held),
    )


def temporal(data: Dataset, *, validation_fraction: float = 0.1, test_fraction: float = 0.1) -> Split:
    """Cut all users at the same two moments; a user's first event after a cut is predicted from all before the cut.

    The test cut leaves the latest ``test_fraction`` of all events after it, the validation cut ``validation_fraction``
    more. Training ends at the validation cut, a refit at the test cut. Users without an event before a cut give no
    target for it.

    Args:
        data: With real timestamps (see `model_export.data.statistics`), or the cut means nothing.
        validation_fraction: Share of all events between the two cuts.
        test_fraction: Share of all events from the test cut on.

    Raises:
        DataError: If the fractions leave no event to train on, or times are too equal to cut between them.
    """
    if not (validation_fraction > 0 and test_fraction > 0 and validation_fraction + test_fraction < 1):
        raise DataError(
            f"the fractions are {validation_fraction} and {test_fraction}, expected two above 0 with a sum below 1"
        )
    in_order = np.sort(data.timestamps_ms)
    first_validation = int(len(in_order) * (1 - validation_fraction - test_fraction))
    first_test = int(len(in_order) * (1 - test_fraction))
    validation_cut_ms, test_cut_ms = int(in_order[first_validation]), int(in_order[first_test])
    if not in_order[0] < validation_cut_ms < test_cut_ms:
        raise DataError("too many events share one timestamp, expected times that a temporal split can cut between")
    return Split(
        name=TEMPORAL,
        train_ends=_ends_before(data, validation_cut_ms),
        refit_ends=_ends_before(data, test_cut_ms),
        validation=_first_after(data, validation_cut_ms, before_ms=test_cut_ms),
        test=_first_after(data, test_cut_ms, before_ms=int(in_order[-1]) + 1),
    )


def cold_items(data: Dataset, *, share: float = COLD_ITEM_SHARE, seed: int = COLD_ITEM_SEED) -> tuple[Dataset, Split]:
    """Leave-one-out in which a seeded share of the items is known at test time only, as targets.

    Their events leave all histories and the validation targets; test targets all stay. Which test targets are cold:
    ``np.isin(data.rows[split.test.events], split.cold_rows)``.

    Returns:
        The dataset without the events that left, and the split of it.
    """
    warm_split = leave_one_out(data)
    chosen = np.random.RandomState(seed).permutation(data.item_count)[: round(share * data.item_count)]
    cold_rows = np.sort(chosen).astype(np.int64) + 1
    kept = ~np.isin(data.rows, cold_rows)
    kept_validation = kept[warm_split.validation.events]
    kept[warm_split.test.events] = True
    kept_before = np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)
    thinned = dataclasses.replace(
        data,
        user_offsets=kept_before[data.user_offsets],
        rows=data.rows[kept],
        action_ids=data.action_ids[kept],
        timestamps_ms=data.timestamps_ms[kept],
        ratings=data.ratings[kept],
    )
    validation = warm_split.validation.take(np.flatnonzero(kept_validation))
    split = Split(
        name=COLD,
        train_ends=kept_before[warm_split.train_ends],
        refit_ends=kept_before[warm_split.refit_ends],
        validation=_moved(validation, kept_before),
        test=_moved(warm_split.test, kept_before),
        cold_rows=cold_rows,
    )
    return thinned, split


def _moved(targets: Targets, kept_before: Int64Array) -> Targets:
    """Follow targets into a dataset in which ``kept_before[e]`` events are left of the first e."""
    return Targets(kept_before[targets.events], kept_before[targets.history_ends], targets.users)


def _ends_before(data: Dataset, cut_ms: int) -> Int64Array:
    """Return ``int64[U]``, the position after each user's last event from before ``cut_ms``."""
    before = np.concatenate([[0], np.cumsum(data.timestamps_ms < cut_ms)]).astype(np.int64)
    starts = data.user_offsets[:-1]
    ends: Int64Array = starts + before[data.user_offsets[1:]] - before[starts]
    return ends


def _first_after(data: Dataset, cut_ms: int, *, before_ms: int) -> Targets:
    ends = _ends_before(data, cut_ms)
    users = np.flatnonzero((ends > data.user_offsets[:-1]) & (_ends_before(data, before_ms) > ends))
    return Targets(events=ends[users], history_ends=ends[users], users=users)
