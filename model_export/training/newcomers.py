"""What somebody without a history does next: what everybody does lately."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from model_export.training.material import SELECT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from app.contract.tensors import Int64Array
    from model_export.training.material import TrainingMaterial

HALF_LIVES: Final = (np.inf, 1.0, 1 / 4, 1 / 16, 1 / 64)
"""How fast popularity may fade, as shares of the time between the first and the last event."""


class Newcomers:
    """Draws events as examples of what a user without a history does next.

    The start token has nothing to go by, so all that it can learn is what is popular. If it learned from users' first
    events, that would be what was popular when they came. It learns from events of all users instead, recent ones more
    often: the model blends them out by itself as the user's own events arrive.

    Args:
        events_V: ``int64[V]`` event indices to draw from.
        weights_V: ``float64[V]``, in proportion to which each is drawn; not all 0.
    """

    def __init__(self, events_V: Int64Array, weights_V: NDArray[np.float64]) -> None:
        self._events_V = events_V
        self._cumulative_V = np.cumsum(weights_V)

    def draw(self, count: int, random: np.random.Generator) -> Int64Array:
        """Return ``int64[count]`` event indices, drawn with replacement."""
        drawn = random.random(count) * self._cumulative_V[-1]
        events: Int64Array = self._events_V[np.searchsorted(self._cumulative_V, drawn, side="right")]
        return events


def newcomers(material: TrainingMaterial, phase: str) -> Newcomers:
    """Return what draws from a phase's training events, at the half-life at which they best predict validation's."""
    events_V = material.training_events(phase)
    return Newcomers(events_V, _recency(material.data.timestamps_ms[events_V], best_half_life(material)))


def best_half_life(material: TrainingMaterial) -> float:
    """Return the one of `HALF_LIVES` under which the validation targets are the most likely, before they are known.

    Without validation targets, or without real times, nothing fades.
    """
    targets = material.split.validation.events
    if not len(targets) or not material.statistics.timestamps_are_real:
        return HALF_LIVES[0]
    data, events_V = material.data, material.training_events(SELECT)
    likelihoods = []
    for half_life in HALF_LIVES:
        weights_V = _recency(data.timestamps_ms[events_V], half_life)
        counts_N = np.bincount(data.rows[events_V], weights=weights_V, minlength=data.item_count + 1)
        share_N = (counts_N / counts_N.sum() + 1.0 / len(counts_N)) / 2.0
        likelihoods.append(np.log(share_N[data.rows[targets]]).mean())
    return HALF_LIVES[int(np.argmax(likelihoods))]


def _recency(timestamps_ms_V: Int64Array, half_life: float) -> NDArray[np.float64]:
    """Return ``float64[V]`` weights, 1 at the last moment and half as much for each half-life before it."""
    latest = int(timestamps_ms_V.max(initial=0))
    span = max(latest - int(timestamps_ms_V.min(initial=latest)), 1)
    weights_V: NDArray[np.float64] = np.exp2((timestamps_ms_V - latest) / (half_life * span))
    return weights_V
