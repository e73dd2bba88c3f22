"""How popular each item is lately: what the service falls back to when there is no time for the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from app.contract.tensors import Float32Array
    from model_export.data.dataset import Dataset

HALF_LIFE_SHARE: Final = 0.1
"""An event counts half as much for every tenth of the data's time span that lies after it."""


def popularity_prior(data: Dataset) -> Float32Array:
    """Return ``float32[N]``: log(1 + decayed number of events) of each item, 0 without events; row 1 first."""
    if len(data.rows) == 0:
        return np.zeros(data.item_count, np.float32)
    newest, oldest = int(data.timestamps_ms.max()), int(data.timestamps_ms.min())
    half_life_ms = max(1.0, HALF_LIFE_SHARE * (newest - oldest))
    weights_E = np.exp2((data.timestamps_ms - newest) / half_life_ms)
    totals = np.bincount(data.rows, weights=weights_E, minlength=data.item_count + 1)
    return np.log1p(totals[1:]).astype(np.float32)
