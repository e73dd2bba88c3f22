"""The positions of the highest scores."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from app.contract.tensors import FloatArray, Int64Array

_PARTITION_FROM: Final = 1024
"""Below this many candidates a full sort is as fast as a partition."""


def top_k_positions(scores_C: FloatArray, k: int) -> Int64Array:
    """Return the positions of the ``k`` highest scores, best first.

    Ties keep the caller's candidate order, so the same request always gets the same answer.

    >>> top_k_positions(np.array([0.5, 2.0, 0.5, 1.0], np.float32), 3)
    array([1, 3, 0])

    Args:
        scores_C: ``float[candidates]``. Higher is better. No NaN; infinities are allowed.
        k: How many to keep, at least 1; more than there are means all of them.

    Returns:
        ``int64[min(k, candidates)]``.

    Raises:
        ValueError: If a score is NaN or ``k`` is below 1.
    """
    if k < 1:
        raise ValueError(f"k is {k}, expected at least 1")
    count = len(scores_C)
    if count == 0:
        return np.empty(0, np.int64)
    if count < _PARTITION_FROM or k >= count // 2:
        order = (-scores_C).argsort(kind="stable")
        # sorting puts NaN last: one look instead of a pass over all scores
        _refuse_nan(scores_C, scores_C[order[-1]])
        return order[:k]
    _refuse_nan(scores_C, scores_C.min())
    # A partition alone would pick ties at the border by chance: take every score that reaches the k-th, then sort.
    kth_score = np.partition(scores_C, count - k)[count - k]
    reaching = np.flatnonzero(scores_C >= kth_score)
    return reaching[(-scores_C[reaching]).argsort(kind="stable")[:k]]


def _refuse_nan(scores_C: FloatArray, suspect: float) -> None:
    if math.isnan(suspect):
        raise ValueError(
            f"the score at position {int(np.flatnonzero(np.isnan(scores_C))[0])} is NaN, expected a number"
        )
