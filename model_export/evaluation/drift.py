"""Does the gate notice when a user's tastes change? The simulated shop knows when they did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

import numpy as np

from model_export.data.splits import Targets
from model_export.evaluation.questions import Questions

if TYPE_CHECKING:
    from app.contract.tensors import Float32Array, Int64Array
    from model_export.data.dataset import Dataset

STEPS: Final = (-2, -1, 0, 1, 2, 3)
"""Events with the new tastes that the model has seen; below 1 are moments before the change."""

_MOST_USERS: Final = 2_000
_SURE_IN_DEVIATIONS: Final = 1.96


@runtime_checkable
class GateReader(Protocol):
    """What tells how much of a user's state is short-term; `model_export.evaluation.run_scorer.RunScorer` does."""

    def short_term_share(self, questions: Questions) -> Float32Array:
        """Return ``float32[T]``, 0..1."""


@dataclass(frozen=True, slots=True)
class DriftPoint:
    """The gate so many events after a change.

    Attributes:
        step: Of `STEPS`.
        users: How many changed users were looked at.
        changed: Their mean short-term share.
        steady: That of as many users whose tastes did not change, with histories of the same length.
        low: Of the 95% interval of the difference, changed - steady.
        high: The same.
    """

    step: int
    users: int
    changed: float
    steady: float
    low: float
    high: float


def gate_after_drift(gate: GateReader, data: Dataset, drift_U: Int64Array) -> list[DriftPoint]:
    """Return the gate before and after the change; empty if nobody's tastes changed.

    Args:
        gate: A trained model.
        data: A simulated shop's events.
        drift_U: ``int64[U]`` events before each user's change, -1 for none.
    """
    counts_U = np.diff(data.user_offsets)
    latest = max(STEPS)
    changed = np.flatnonzero((drift_U >= -min(STEPS)) & (drift_U + latest < counts_U))[:_MOST_USERS]
    steady_pool = np.flatnonzero(drift_U < 0)
    if not len(changed) or not len(steady_pool):
        return []
    changed, steady = _alike(changed, steady_pool, counts_U)
    return [
        _point(
            step, *(gate.short_term_share(_after(data, users, drift_U[changed] + step)) for users in (changed, steady))
        )
        for step in STEPS
    ]


def _alike(changed: Int64Array, steady_pool: Int64Array, counts_U: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Pair changed users with different steady ones whose histories are as long or a little longer.

    The gate depends on the length of a history. Who finds no partner is left out.
    """
    changed = changed[np.argsort(counts_U[changed], kind="stable")]
    steady_pool = steady_pool[np.argsort(counts_U[steady_pool], kind="stable")]
    first_fit = np.searchsorted(counts_U[steady_pool], counts_U[changed])
    # the earliest place that is free and long enough: each place is at least one further than the one before
    places = np.maximum.accumulate(first_fit - np.arange(len(changed))) + np.arange(len(changed))
    fits = places < len(steady_pool)
    return changed[fits], steady_pool[places[fits]]


def _after(data: Dataset, users: Int64Array, events_seen: Int64Array) -> Questions:
    """Return the question of each user that follows so many events."""
    ends = data.user_offsets[users] + events_seen
    return Questions.of(data, Targets(events=ends, history_ends=ends, users=users))


def _point(step: int, changed: Float32Array, steady: Float32Array) -> DriftPoint:
    difference = changed.astype(np.float64) - steady
    spread = _SURE_IN_DEVIATIONS * float(difference.std()) / len(difference) ** 0.5
    mean = float(difference.mean())
    return DriftPoint(step, len(changed), float(changed.mean()), float(steady.mean()), mean - spread, mean + spread)
