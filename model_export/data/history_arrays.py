"""Histories of prediction targets as graph inputs, for many targets at once.

Equal to `app.contract.encoding.encode_history` followed by `pack_histories`, one target after the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from app.contract.tensors import HistoryBatch

if TYPE_CHECKING:
    from app.contract.tensors import Int64Array
    from model_export.data.dataset import Dataset
    from model_export.data.splits import Targets


def histories_of(data: Dataset, targets: Targets, history_length: int) -> HistoryBatch:
    """Return the latest ``history_length`` events before each target, aged at the target's own timestamp.

    Args:
        data: The dataset that the targets point into.
        targets: T targets.
        history_length: How many events the model takes.
    """
    return histories_between(
        data,
        starts=data.user_offsets[targets.users],
        ends=targets.history_ends,
        now_ms=data.timestamps_ms[targets.events],
        history_length=history_length,
    )


def histories_between(
    data: Dataset,
    *,
    starts: Int64Array,
    ends: Int64Array,
    now_ms: Int64Array,
    history_length: int,
) -> HistoryBatch:
    """Return the latest ``history_length`` of the events ``starts[b] : ends[b]``, aged at ``now_ms``; all int64."""
    first_B = np.maximum(starts, ends - history_length)
    length_B = ends - first_B
    step_H = np.arange(length_B.max(initial=1))
    inside_BH = step_H < length_B[:, None]
    event_BH = np.where(inside_BH, first_B[:, None] + step_H, 0)
    age_ms_BH = np.maximum(now_ms[:, None] - data.timestamps_ms[event_BH], 0)
    return HistoryBatch(
        rows_BH=np.where(inside_BH, data.rows[event_BH], 0),
        actions_BH=np.where(inside_BH, data.action_ids[event_BH], 0),
        age_s_BH=np.where(inside_BH, age_ms_BH / 1000.0, 0.0).astype(np.float32),
    )
