"""How raw events become the arrays that the graph takes, in training and in serving alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from app.contract.tensors import Float32Array, HistoryBatch, Int64Array

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class EncodedHistory:
    """One user's history, oldest event first, without padding.

    Attributes:
        rows_H: ``int64[H]`` item rows, all greater than 0.
        actions_H: ``int64[H]`` action ids.
        age_s_H: ``float32[H]`` seconds before the request, never negative.
    """

    rows_H: Int64Array
    actions_H: Int64Array
    age_s_H: Float32Array

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.rows_H)


EMPTY_HISTORY: Final = EncodedHistory(
    rows_H=np.empty(0, np.int64), actions_H=np.empty(0, np.int64), age_s_H=np.empty(0, np.float32)
)


def encode_history(
    rows: Int64Array, actions: Int64Array, timestamps_ms: Int64Array, *, now_ms: int, history_length: int
) -> EncodedHistory:
    """Encode the latest ``history_length`` known events as the graph takes them.

    Events of unknown items (row 0) are dropped before the cut. An event from after ``now_ms`` counts as age 0. Events
    are put in time order; ties keep the given order.

    >>> encode_history(np.array([7, 0, 9]), np.array([0, 0, 1]), np.array([3000, 2000, 1000]),
    ...                now_ms=5000, history_length=50)
    EncodedHistory(rows_H=array([9, 7]), actions_H=array([1, 0]), age_s_H=array([4., 2.], dtype=float32))

    Args:
        rows: ``int64[E]`` item rows, 0 for unknown items.
        actions: ``int64[E]`` action ids.
        timestamps_ms: ``int64[E]`` epoch milliseconds.
        now_ms: The request's timestamp, epoch milliseconds.
        history_length: How many events the model takes.
    """
    # stored histories are in order and nearly always known in full: what is there already is not made again
    if np.count_nonzero(rows) < len(rows):
        known = rows > 0
        rows, actions, timestamps_ms = rows[known], actions[known], timestamps_ms[known]
    if (timestamps_ms[1:] < timestamps_ms[:-1]).any():
        order = timestamps_ms.argsort(kind="stable")
        rows, actions, timestamps_ms = rows[order], actions[order], timestamps_ms[order]
    age_ms = now_ms - timestamps_ms[-history_length:]
    if len(age_ms) and age_ms[-1] < 0:
        age_ms = np.maximum(age_ms, 0)
    return EncodedHistory(
        rows_H=rows[-history_length:].astype(np.int64, copy=False),
        actions_H=actions[-history_length:].astype(np.int64, copy=False),
        age_s_H=(age_ms / 1000.0).astype(np.float32),
    )


def pack_histories(histories: Sequence[EncodedHistory], *, padded_length: int | None = None) -> HistoryBatch:
    """Pack histories into one right-padded batch.

    Args:
        histories: B histories, each at most ``padded_length`` long.
        padded_length: H of the result; by default the longest history, at least 1.

    Raises:
        ValueError: If a history is longer than ``padded_length``.
    """
    longest = max((len(history) for history in histories), default=0)
    width = padded_length if padded_length is not None else max(longest, 1)
    if longest > width:
        raise ValueError(f"a history has {longest} events, expected at most {width}")
    if longest == width and len(histories) == 1:
        only = histories[0]
        return HistoryBatch(rows_BH=only.rows_H[None], actions_BH=only.actions_H[None], age_s_BH=only.age_s_H[None])
    batch = HistoryBatch(
        rows_BH=np.zeros((len(histories), width), np.int64),
        actions_BH=np.zeros((len(histories), width), np.int64),
        age_s_BH=np.zeros((len(histories), width), np.float32),
    )
    for position, history in enumerate(histories):
        length = len(history)
        batch.rows_BH[position, :length] = history.rows_H
        batch.actions_BH[position, :length] = history.actions_H
        batch.age_s_BH[position, :length] = history.age_s_H
    return batch
