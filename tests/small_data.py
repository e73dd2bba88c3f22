"""Datasets written down event by event, for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from model_export.data.dataset import Dataset

if TYPE_CHECKING:
    from collections.abc import Sequence


def dataset_of(users: Sequence[Sequence[tuple[int, ...]]], *, items: int) -> Dataset:
    """Return a dataset of users' events, each ``(row, second)`` or ``(row, second, action id)``, in time order."""
    events = [event for user in users for event in user]
    ids = [f"i{row}" for row in range(1, items + 1)]
    return Dataset(
        items=pa.table({"item_id": ids, "text": [f"text of {item}" for item in ids]}),
        user_ids=[f"u{user}" for user in range(len(users))],
        actions=("view", "cart", "purchase"),
        user_offsets=np.cumsum([0, *(len(user) for user in users)]).astype(np.int64),
        rows=np.array([event[0] for event in events], np.int64),
        action_ids=np.array([event[2] if len(event) > 2 else 0 for event in events], np.int64),
        timestamps_ms=np.array([event[1] * 1000 for event in events], np.int64),
        ratings=np.full(len(events), np.nan, np.float32),
        fingerprint="made by hand",
    )
