"""Popularity is a rate: an item that came late had less time to collect its events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from model_export.data.splits import events_before
from model_export.data.statistics import timestamps_are_real

if TYPE_CHECKING:
    from app.contract.tensors import Float32Array, Int64Array
    from model_export.data.dataset import Dataset


def exposure_correction(data: Dataset, ends_U: Int64Array) -> Float32Array:
    """Return ``float32[N + 1]``, what to add to the log-popularity that a softmax over the whole catalogue learned.

    Training compares every event with every item, those among them that were not there yet. So an item that was there
    for a share s of the events looks s times as popular as it is, and ``-log s`` makes up for it. It counts as there
    since its first event. That event alone says nothing about a rate, so of n events the correction counts for
    ``1 - 1 / n``. Zeros where timestamps are not real, and for items without events.

    Args:
        data: The events.
        ends_U: ``int64[U]`` where each user's training events end.
    """
    correction_N = np.zeros(data.item_count + 1, np.float32)
    events_V = events_before(data, ends_U)
    if not len(events_V) or not timestamps_are_real(data):
        return correction_N
    times_V, rows_V = data.timestamps_ms[events_V], data.rows[events_V]
    counts_N = np.bincount(rows_V, minlength=data.item_count + 1)
    first_N = np.full(data.item_count + 1, times_V.max())
    np.minimum.at(first_N, rows_V, times_V)
    share_N = 1.0 - np.searchsorted(np.sort(times_V), first_N) / len(times_V)
    known_N = counts_N > 0
    correction_N[known_N] = -np.log(share_N[known_N]) * (1.0 - 1.0 / counts_N[known_N])
    return correction_N
