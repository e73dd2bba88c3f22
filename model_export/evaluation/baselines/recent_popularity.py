"""What is popular at the moment of the question: event counts that halve with age."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from model_export.data.splits import events_before

if TYPE_CHECKING:
    from app.contract.tensors import Float32Array, Int64Array
    from model_export.data.dataset import Dataset
    from model_export.evaluation.questions import Questions

_MOMENTS: Final = 256
"""Popularity is kept for this many moments, evenly spaced over the events; a question takes the last one before it."""


class RecentPopularity:
    """Scores an item by its events before the question, each weighing half as much for every half-life of its age."""

    name = "recent popularity"

    def __init__(self, moments_ms: Int64Array, popularity_MN: Float32Array) -> None:
        self._moments_ms = moments_ms
        self._popularity_MN = popularity_MN

    @classmethod
    def fit(cls, data: Dataset, ends_U: Int64Array, *, half_life: float) -> RecentPopularity:
        """Sum decayed counts up to each moment.

        Args:
            data: The events.
            ends_U: Where each user's known events end.
            half_life: As a share of the time between the first and the last event.
        """
        events = events_before(data, ends_U)
        events = events[np.argsort(data.timestamps_ms[events], kind="stable")]
        times_ms, rows = data.timestamps_ms[events], data.rows[events]
        half_life_ms = half_life * max(int(times_ms[-1] - times_ms[0]), 1)
        borders = np.linspace(0, len(events), _MOMENTS + 1).astype(np.int64)
        moments_ms = np.append(times_ms[borders[:-1]], times_ms[-1] + 1)
        popularity_MN = np.zeros((_MOMENTS + 1, data.item_count + 1), np.float32)
        for moment in range(1, _MOMENTS + 1):
            between = slice(borders[moment - 1], borders[moment])
            weights = np.exp2((times_ms[between] - moments_ms[moment]) / half_life_ms)
            fading = np.exp2((moments_ms[moment - 1] - moments_ms[moment]) / half_life_ms)
            new_N = np.bincount(rows[between], weights=weights, minlength=data.item_count + 1)
            popularity_MN[moment] = popularity_MN[moment - 1] * fading + new_N
        return cls(moments_ms, popularity_MN)

    def scores(self, questions: Questions) -> Float32Array:
        """Return the popularity at the last moment before each question."""
        moments = np.searchsorted(self._moments_ms, questions.asked_at_ms, side="right") - 1
        return self._popularity_MN[np.maximum(moments, 0)]
