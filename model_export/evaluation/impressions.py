"""Ranking of what was shown together, as the news field reports it: AUC, MRR and nDCG over impressions (MIND)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from scipy.stats import rankdata

if TYPE_CHECKING:
    from collections.abc import Iterable

    from app.contract.tensors import BoolArray, FloatArray, Int64Array


@dataclass(frozen=True, slots=True)
class Impression:
    """One list that was shown.

    Attributes:
        history_rows_H: ``int64[H]`` item rows clicked before, oldest first.
        asked_at_ms: When it was shown, epoch milliseconds.
        candidate_rows_C: ``int64[C]`` item rows.
        clicked_C: ``bool[C]``.
    """

    history_rows_H: Int64Array
    asked_at_ms: int
    candidate_rows_C: Int64Array
    clicked_C: BoolArray


class ImpressionScorer(Protocol):
    """Scores the candidates of one impression."""

    def scores_of(self, impression: Impression) -> FloatArray:
        """Return ``float[C]``, higher is better."""


@dataclass(frozen=True, slots=True)
class ImpressionMetrics:
    """Means over impressions with at least one click and one candidate that was not clicked.

    Attributes:
        impressions: How many those are.
        auc: Area under the ROC curve of an impression, ties counting half.
        mrr: Mean reciprocal rank of the clicked candidates, as the field defines it: over all clicks of an impression.
        ndcg_5: nDCG of the first 5.
        ndcg_10: nDCG of the first 10.
    """

    impressions: int
    auc: float
    mrr: float
    ndcg_5: float
    ndcg_10: float


def impression_metrics(scorer: ImpressionScorer, impressions: Iterable[Impression]) -> ImpressionMetrics:
    """Score every impression and average.

    Of equal scores the unclicked candidates are ranked first (but for AUC), so a constant scorer gains nothing.
    """
    rows = [
        metrics_of_one(scorer.scores_of(impression), impression.clicked_C)
        for impression in impressions
        if 0 < impression.clicked_C.sum() < len(impression.clicked_C)
    ]
    if not rows:
        return ImpressionMetrics(0, 0.0, 0.0, 0.0, 0.0)
    auc, mrr, ndcg_5, ndcg_10 = np.asarray(rows).mean(axis=0).tolist()
    return ImpressionMetrics(len(rows), auc, mrr, ndcg_5, ndcg_10)


def metrics_of_one(scores_C: FloatArray, clicked_C: BoolArray) -> tuple[float, float, float, float]:
    """Return AUC, MRR, nDCG@5 and nDCG@10 of one impression with at least one click and one other candidate."""
    clicks = int(clicked_C.sum())
    others = len(clicked_C) - clicks
    auc = (rankdata(scores_C)[clicked_C].sum() - clicks * (clicks + 1) / 2) / (clicks * others)
    order_C = np.lexsort((clicked_C, -scores_C.astype(np.float64)))
    places = 1.0 + np.flatnonzero(clicked_C[order_C])
    return float(auc), float((1.0 / places).mean()), _ndcg(places, 5), _ndcg(places, 10)


def _ndcg(places: FloatArray, k: int) -> float:
    """Return the discounted gain of the clicks among the first ``k`` over the best possible."""
    gained = (1.0 / np.log2(1.0 + places[places <= k])).sum()
    possible = (1.0 / np.log2(2.0 + np.arange(min(k, len(places))))).sum()
    return float(gained / possible)
