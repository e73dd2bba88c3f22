"""Two stages of ranking in one array: the best by a cheap score, in the order of a full one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.contract.tensors import Float32Array, Int64Array


def rescored(
    cheap_BN: Float32Array,
    eligible_BN: Float32Array,
    count: int,
    full_scores: Callable[[Int64Array], Float32Array],
) -> Float32Array:
    """Return ``float32[B, N + 1]``: the full score for each row's best ``count``, all others moved below those.

    Args:
        cheap_BN: ``float32[B, N + 1]``, the first stage.
        eligible_BN: The same with -inf where an item may not be among the best.
        count: How many go through the second stage.
        full_scores: ``int64[B, C]`` rows to ``float32[B, C]`` scores.
    """
    kept = min(count, eligible_BN.shape[1])
    # Ascending rows, so that ties of the full score go by row.
    best_BC = np.sort(np.argpartition(eligible_BN, -kept, axis=1)[:, -kept:], axis=1)
    full_BC = full_scores(best_BC)
    ceiling_B1 = full_BC.min(axis=1, keepdims=True) - 1.0
    scores_BN: Float32Array = cheap_BN - cheap_BN.max(axis=1, keepdims=True) + ceiling_B1
    np.put_along_axis(scores_BN, best_BC, full_BC, axis=1)
    return scores_BN
