"""The figures of a dataset from which capacity and features are chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from app.contract.tensors import Int64Array
    from model_export.data.dataset import Dataset

MAX_SHARE_OF_ONE_GAP: Final = 0.8
"""If one gap between a user's events makes up more of all gaps above zero, then somebody made the times up."""

FIRST_CREDIBLE_MS: Final = 631_152_000_000
"""1990-01-01: times before it are running numbers, not times."""


@dataclass(frozen=True, slots=True)
class DataStatistics:
    """What a dataset looks like.

    Attributes:
        users: With at least one event.
        items: In the catalogue, with or without events.
        events: Interactions.
        mean_history: Events per user.
        median_history: Events per user.
        repeat_share: Share of events whose user had the item before.
        timestamps_are_real: False where times are constant steps, running numbers or all the same, so that only the
            order means something.
    """

    users: int
    items: int
    events: int
    mean_history: float
    median_history: float
    repeat_share: float
    timestamps_are_real: bool


def statistics_of(data: Dataset) -> DataStatistics:
    """Compute the figures of a dataset with at least one event."""
    lengths = np.diff(data.user_offsets)
    pairs = len(_run_lengths(data.users_of_events() * (data.item_count + 1) + data.rows))
    return DataStatistics(
        users=int((lengths > 0).sum()),
        items=data.item_count,
        events=len(data.rows),
        mean_history=float(lengths.mean()),
        median_history=float(np.median(lengths)),
        repeat_share=1.0 - pairs / len(data.rows),
        timestamps_are_real=timestamps_are_real(data),
    )


def timestamps_are_real(data: Dataset) -> bool:
    """Tell measured times from made-up ones.

    They are made up if the median time is before 1990 (running numbers), if no two consecutive events of a user are
    apart, or if more than 80% of the gaps above zero are the same.
    """
    if not len(data.timestamps_ms) or np.median(data.timestamps_ms) < FIRST_CREDIBLE_MS:
        return False
    same_user = np.diff(data.users_of_events()) == 0
    gaps_ms = np.diff(data.timestamps_ms)[same_user]
    gaps_ms = gaps_ms[gaps_ms > 0]
    if not len(gaps_ms):
        return False
    most_frequent = int(_run_lengths(gaps_ms).max())
    return most_frequent <= MAX_SHARE_OF_ONE_GAP * len(gaps_ms) or len(gaps_ms) == 1


def _run_lengths(values: Int64Array) -> Int64Array:
    """Return how often each different value occurs; ``values`` is left sorted, for the memory's sake."""
    values.sort()
    starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
    return np.diff(np.append(starts, len(values)))
