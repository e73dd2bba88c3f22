"""Ranking metrics as one value a question, so that means, intervals and slices all come from the same values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.contract.tensors import FloatArray, Int64Array
    from model_export.evaluation.ranks import Ranks

CUTOFFS: Final = (5, 10, 20)


def hit_rate(ranks_T: Int64Array, k: int) -> FloatArray:
    """Return ``float64[T]``: 1 where the answer is among the first ``k``."""
    return (ranks_T <= k).astype(np.float64)


def ndcg(ranks_T: Int64Array, k: int) -> FloatArray:
    """Return ``float64[T]``: 1 / log2(1 + rank) within the first ``k``, else 0; the ideal list has the answer first."""
    return np.where(ranks_T <= k, 1.0 / np.log2(1.0 + ranks_T), 0.0)


def reciprocal_rank(ranks_T: Int64Array, k: int) -> FloatArray:
    """Return ``float64[T]``: 1 / rank within the first ``k``, else 0."""
    return np.where(ranks_T <= k, 1.0 / ranks_T, 0.0)


def precision(ranks_T: Int64Array, k: int) -> FloatArray:
    """Return ``float64[T]``: the share of the first ``k`` places that are the answer; at most 1 / k."""
    return hit_rate(ranks_T, k) / k


def recall(ranks_T: Int64Array, k: int) -> FloatArray:
    """Return ``float64[T]``: the share of the answers within the first ``k``; with one answer the hit rate."""
    return hit_rate(ranks_T, k)


def f1(ranks_T: Int64Array, k: int) -> FloatArray:
    """Return ``float64[T]``: the harmonic mean of precision and recall; with one answer 2 / (k + 1) for a hit."""
    return hit_rate(ranks_T, k) * (2.0 / (k + 1.0))


METRICS: Final[dict[str, Callable[[Int64Array, int], FloatArray]]] = {
    "HR": hit_rate,
    "NDCG": ndcg,
    "MRR": reciprocal_rank,
    "Precision": precision,
    "Recall": recall,
    "F1": f1,
}


def values_of_metric(ranks: Ranks, key: str) -> FloatArray:
    """Return ``float64[T]``, the masked metric of each question.

    Args:
        ranks: A scorer's ranks.
        key: ``NAME@K``, ``Accuracy`` (the answer is first) or ``AUC``.

    Raises:
        ValueError: If there is no such metric.
    """
    if key == "AUC":
        return ranks.auc_T.astype(np.float64)
    if key == "Accuracy":
        return hit_rate(ranks.masked_T, 1)
    name, _, cutoff = key.partition("@")
    if name not in METRICS or not cutoff.isdigit():
        raise ValueError(f"{key!r} is no metric, expected one of {', '.join(METRICS)} with @K, Accuracy or AUC")
    return METRICS[name](ranks.masked_T, int(cutoff))


def metric_keys() -> list[str]:
    """Return every reported key, in the order of the tables."""
    return [f"{name}@{cutoff}" for cutoff in CUTOFFS for name in METRICS] + ["Accuracy", "AUC"]


def summary(ranks: Ranks) -> dict[str, float]:
    """Return the mean of every metric over the questions; zeros if there are none."""
    if len(ranks.masked_T) == 0:
        return dict.fromkeys(metric_keys(), 0.0)
    return {key: float(values_of_metric(ranks, key).mean()) for key in metric_keys()}


def unmasked_summary(ranks: Ranks) -> dict[str, float]:
    """Return hit rate, NDCG and MRR at 10 with seen items left in the list, as some papers report them."""
    if len(ranks.unmasked_T) == 0:
        return {}
    return {f"{name}@10": float(METRICS[name](ranks.unmasked_T, 10).mean()) for name in ("HR", "NDCG", "MRR")}
