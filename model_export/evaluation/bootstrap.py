"""How sure a difference is: bootstrap intervals and paired significance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from app.contract.tensors import FloatArray

RESAMPLES: Final = 4000
_SEED: Final = 20_240_101
_CELLS_AT_ONCE: Final = 1 << 22


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with the interval that holds it.

    Attributes:
        mean: Of the sample.
        low: 2.5th percentile of the resampled means.
        high: 97.5th percentile.
    """

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """A paired comparison of two models over the same questions.

    Attributes:
        difference: Ours minus theirs, with its 95% interval.
        relative: The difference over theirs; infinite if theirs is 0.
        p_value: Two-sided: how often a resampled difference falls on the other side of zero; never quite 0.
    """

    difference: Interval
    relative: float
    p_value: float


def resampled_means(values_T: FloatArray, *, resamples: int = RESAMPLES, seed: int = _SEED) -> FloatArray:
    """Return ``float64[resamples]``, means of samples of T values drawn with replacement.

    Drawing T values one by one and counting them is one multinomial draw over the distinct values; a metric at 10 has
    about eleven of those, so that 50,000 users cost no more than 500.
    """
    distinct, counts = np.unique(values_T, return_counts=True)
    random = np.random.default_rng(seed)
    means = np.empty(resamples)
    at_once = max(1, _CELLS_AT_ONCE // len(distinct))
    for start in range(0, resamples, at_once):
        stop = min(start + at_once, resamples)
        drawn = random.multinomial(len(values_T), counts / len(values_T), size=stop - start)
        means[start:stop] = drawn.astype(np.float64) @ distinct.astype(np.float64) / len(values_T)
    return means


def interval(values_T: FloatArray, *, resamples: int = RESAMPLES) -> Interval:
    """Return the mean of ``float64[T]`` values with its 95% percentile bootstrap interval; T is at least 1."""
    return _interval(float(values_T.mean()), resampled_means(values_T, resamples=resamples))


def paired_difference(ours_T: FloatArray, theirs_T: FloatArray, *, resamples: int = RESAMPLES) -> Difference:
    """Compare two models on the same T questions by resampling the questions (Efron and Tibshirani 1993, chapter 16).

    Raises:
        ValueError: If the two have another number of questions.
    """
    if len(ours_T) != len(theirs_T):
        raise ValueError(f"{len(ours_T)} values against {len(theirs_T)}, expected the same questions")
    gained_T = ours_T - theirs_T
    return _difference(float(gained_T.mean()), float(theirs_T.mean()), resampled_means(gained_T, resamples=resamples))


def difference_across_seeds(ours_ST: FloatArray, theirs_T: FloatArray, *, resamples: int = RESAMPLES) -> Difference:
    """Compare S trainings of one model with one other model, resampling both the trainings and the questions.

    A gain that only one lucky seed has does not survive the resampling of the seeds.

    Args:
        ours_ST: ``float64[S, T]``, a row a training seed, the same questions in each.
        theirs_T: ``float64[T]``.
        resamples: How many times seeds and questions are drawn.
    """
    gained_ST = ours_ST - theirs_T[None, :]
    random = np.random.default_rng(_SEED)
    seed_count = len(gained_ST)
    weight_RS = random.multinomial(seed_count, np.full(seed_count, 1 / seed_count), size=resamples) / seed_count
    patterns_WS, which_R = np.unique(weight_RS, axis=0, return_inverse=True)
    means = np.empty(resamples)
    for number, pattern_S in enumerate(patterns_WS):
        chosen = np.flatnonzero(which_R == number)
        means[chosen] = resampled_means(pattern_S @ gained_ST, resamples=len(chosen), seed=_SEED + 1 + number)
    return _difference(float(gained_ST.mean()), float(theirs_T.mean()), means)


def _interval(mean: float, means_R: FloatArray) -> Interval:
    low, high = np.percentile(means_R, [2.5, 97.5])
    return Interval(mean=mean, low=float(low), high=float(high))


def _difference(mean: float, base: float, means_R: FloatArray) -> Difference:
    """Return the comparison whose difference is ``mean`` over ``base``, with ``float64[R]`` resampled differences."""
    crossing = min(int((means_R <= 0).sum()), int((means_R >= 0).sum()))
    return Difference(
        difference=_interval(mean, means_R),
        relative=mean / base if base else float("inf"),
        p_value=min(1.0, 2.0 * (crossing + 1) / (len(means_R) + 1)),
    )
