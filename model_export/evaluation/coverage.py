"""What lists look like as a whole: how much of the catalogue they show, how evenly, and how alike their items are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from app.contract.tensors import Float32Array, FloatArray, Int64Array

_LISTS_AT_ONCE: Final = 2048


@dataclass(frozen=True, slots=True)
class ListQuality:
    """Three numbers over many lists.

    Attributes:
        catalogue_coverage: Share of all items that are in at least one list, 0..1.
        gini: Inequality of how often items are shown, over all items: 0 all alike, towards 1 a few take everything.
        intra_list_diversity: Mean of 1 - cosine over the pairs of a list, then over lists; 0 identical, 1 unrelated.
    """

    catalogue_coverage: float
    gini: float
    intra_list_diversity: float


def list_quality(lists_TK: Int64Array, vectors_ND: Float32Array) -> ListQuality:
    """Measure lists of item rows.

    Args:
        lists_TK: ``int64[T, K]``, rows; 0 for an empty place.
        vectors_ND: ``float32[N + 1, D]``, the vectors in which likeness is measured; row 0 is padding.
    """
    shown_N = np.bincount(lists_TK.ravel(), minlength=len(vectors_ND))[1:]
    return ListQuality(
        catalogue_coverage=float((shown_N > 0).mean()) if len(shown_N) else 0.0,
        gini=gini(shown_N.astype(np.float64)),
        intra_list_diversity=float(intra_list_diversity(lists_TK, vectors_ND).mean()) if len(lists_TK) else 0.0,
    )


def gini(amounts_N: FloatArray) -> float:
    """Return the Gini coefficient of amounts that are not negative; 0 if there are none.

    >>> gini(np.array([1.0, 1.0, 1.0, 1.0])), gini(np.array([0.0, 0.0, 0.0, 4.0]))
    (0.0, 0.75)
    """
    total = float(amounts_N.sum())
    if total <= 0:
        return 0.0
    count = len(amounts_N)
    cumulated = np.cumsum(np.sort(amounts_N))
    return float((count + 1 - 2 * cumulated.sum() / total) / count)


def intra_list_diversity(lists_TK: Int64Array, vectors_ND: Float32Array) -> FloatArray:
    """Return ``float64[T]``, each list's mean of 1 - cosine over its pairs; 0 for lists with fewer than two items."""
    length_N1 = np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    unit_ND = vectors_ND / np.where(length_N1 > 0, length_N1, 1)
    diversity_T = np.zeros(len(lists_TK))
    for start in range(0, len(lists_TK), _LISTS_AT_ONCE):
        lists_BK = lists_TK[start : start + _LISTS_AT_ONCE]
        real_BK = lists_BK > 0
        unit_BKD = unit_ND[lists_BK] * real_BK[:, :, None]
        # The sum over pairs is half of what the squared length of the sum has beyond the squares of the parts.
        squares_B = (unit_BKD * unit_BKD).sum(axis=(1, 2), dtype=np.float64)
        sum_BD = unit_BKD.sum(axis=1, dtype=np.float64)
        cosine_sum_B = ((sum_BD * sum_BD).sum(axis=1) - squares_B) / 2
        items_B = real_BK.sum(axis=1)
        pairs_B = items_B * (items_B - 1) / 2
        diversity_T[start : start + len(lists_BK)] = np.where(pairs_B > 0, 1 - cosine_sum_B / np.maximum(pairs_B, 1), 0)
    return diversity_T
