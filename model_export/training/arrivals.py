"""When each item came: what an event could choose among."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from app.contract.tensors import PADDING_ROW
from model_export.data.splits import events_before
from model_export.data.statistics import timestamps_are_real

if TYPE_CHECKING:
    from app.contract.tensors import Float32Array, Int64Array
    from model_export.data.dataset import Dataset

_CHANCE: Final = 0.01
"""An item counts as late where one that was always there would have its first event that late less often than this."""


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The order in which items came.

    A softmax over the whole catalogue would compare an event with items that were not there yet: whatever came late
    would look unpopular, and disliked by the very users that it was made for. So each event chooses among the first
    `available_E` items of `rows_A` only.

    Attributes:
        rows_A: ``int64[A]`` the items with training events, in the order of their arrival.
        available_E: ``int64[E]`` how many of them were there at each event; its own item always is, where the event is
            one of those trained on.
        offsets_A: ``float32[A]``, added to the items' logits in training: minus the log of the share of questions that
            are asked when the item is there, so that what is learned besides is right for those questions. 0 for items
            that were there all the time, and for all where questions come after all training events.
    """

    rows_A: Int64Array
    available_E: Int64Array
    offsets_A: Float32Array


def arrivals(data: Dataset, ends_U: Int64Array, asked_ms_Q: Int64Array) -> Arrivals:
    """Return when items came; where timestamps are not real, all were always there.

    Rare items often have a late first event by mere chance. So an item is late only where that is improbable: of n
    uniformly spread events all lie behind the share f of the log with probability ``(1 - f) ** n``. A late item counts
    as there since one mean gap before its first event. Times are counted in events, so that busy days are not longer.

    Args:
        data: The events.
        ends_U: ``int64[U]`` where each user's training events end.
        asked_ms_Q: ``int64[Q]`` when the questions are asked that the model is for.
    """
    events_V = events_before(data, ends_U)
    rows_V = data.rows[events_V]
    counts_N = np.bincount(rows_V, minlength=data.item_count + 1)
    counts_N[PADDING_ROW] = 0
    known_A = np.flatnonzero(counts_N)
    if not timestamps_are_real(data):
        return Arrivals(known_A, np.full(len(data.rows), len(known_A)), np.zeros(len(known_A), np.float32))
    times_V = np.sort(data.timestamps_ms[events_V])
    first_ms_N = np.full(data.item_count + 1, times_V[-1])
    np.minimum.at(first_ms_N, rows_V, data.timestamps_ms[events_V])
    first_A = np.searchsorted(times_V, first_ms_N[known_A])
    since_A = len(times_V) - first_A
    is_late_A = counts_N[known_A] * np.log(since_A / len(times_V)) < np.log(_CHANCE)
    arrival_A = np.where(is_late_A, np.maximum(first_A - since_A / counts_N[known_A], 0.0), 0.0)
    order_A = np.argsort(arrival_A, kind="stable")
    arrival_A = arrival_A[order_A]
    asked_Q = np.sort(np.searchsorted(times_V, asked_ms_Q))
    absent_A = np.searchsorted(asked_Q, arrival_A)
    share_A = (len(asked_Q) - absent_A + 1) / (len(asked_Q) + 1)
    clock_E = np.searchsorted(times_V, data.timestamps_ms)
    return Arrivals(
        known_A[order_A], np.searchsorted(arrival_A, clock_E, side="right"), -np.log(share_A).astype(np.float32)
    )
