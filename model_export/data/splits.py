"""Which events are trained on, validated on and tested on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from app.contract.tensors import Int64Array
    from model_export.data.dataset import Dataset

MIN_EVENTS_TO_HOLD_OUT: Final = 3
"""A user with fewer events is trained on whole: nothing would be left to predict from."""


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


@dataclass(frozen=True, slots=True)
class Split:
    """A division of a dataset's events.

    Attributes:
        name: ``leave-one-out``, ``temporal`` or ``cold``.
        train_ends: ``int64[U]``: user u trains on ``user_offsets[u] : train_ends[u]``.
        validation: What early stopping and every choice looks at.
        test: What is reported.
    """

    name: str
    train_ends: Int64Array
    validation: Targets
    test: Targets


def leave_one_out(data: Dataset) -> Split:
    """Hold out each user's last event as test and the one before as validation."""
    starts, ends = data.user_offsets[:-1], data.user_offsets[1:]
    held = np.flatnonzero(ends - starts >= MIN_EVENTS_TO_HOLD_OUT)
    train_ends = ends.copy()
    train_ends[held] -= 2
    return Split(
        name="leave-one-out",
        train_ends=train_ends,
        validation=Targets(events=ends[held] - 2, history_ends=ends[held] - 2, users=held),
        test=Targets(events=ends[held] - 1, history_ends=ends[held] - 1, users=held),
    )
