"""The same list for everybody: the items with the most events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from model_export.data.splits import events_before

if TYPE_CHECKING:
    from app.contract.tensors import Float32Array, Int64Array
    from model_export.data.dataset import Dataset
    from model_export.evaluation.questions import Questions


class Popularity:
    """Scores an item by its number of events; every event counts once."""

    name = "popularity"

    def __init__(self, counts_N: Float32Array) -> None:
        self._counts_N = counts_N

    @classmethod
    def fit(cls, data: Dataset, ends_U: Int64Array) -> Popularity:
        """Count the events before each user's end."""
        rows = data.rows[events_before(data, ends_U)]
        return cls(np.bincount(rows, minlength=data.item_count + 1).astype(np.float32))

    def scores(self, questions: Questions) -> Float32Array:
        """Return the counts, once a question."""
        return np.broadcast_to(self._counts_N, (len(questions), len(self._counts_N)))
