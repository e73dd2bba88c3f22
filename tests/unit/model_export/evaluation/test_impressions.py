"""Metrics over impressions."""

import numpy as np
import pytest

from model_export.evaluation.impressions import Impression, impression_metrics, metrics_of_one


def _slow(scores, clicked):
    """Return the four metrics by the definitions, with loops."""
    positives = [score for score, click in zip(scores, clicked, strict=True) if click]
    negatives = [score for score, click in zip(scores, clicked, strict=True) if not click]
    auc = np.mean([(p > n) + 0.5 * (p == n) for p in positives for n in negatives])
    order = sorted(range(len(scores)), key=lambda place: (-scores[place], clicked[place]))
    ranked = [clicked[place] for place in order]
    mrr = np.mean([1 / rank for rank, click in enumerate(ranked, 1) if click])
    ndcg = []
    for k in (5, 10):
        gain = sum(click / np.log2(1 + rank) for rank, click in enumerate(ranked[:k], 1))
        best = sum(click / np.log2(1 + rank) for rank, click in enumerate(sorted(ranked, reverse=True)[:k], 1))
        ndcg.append(gain / best)
    return auc, mrr, *ndcg


@pytest.mark.parametrize("seed", range(20))
def test_metrics_are_their_definitions(seed: int) -> None:
    """Over random impressions with tied scores all four metrics equal the definitions written out."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 6, 15).astype(np.float64)
    clicked = rng.random(15) < 0.3
    clicked[:2] = [True, False]
    np.testing.assert_allclose(metrics_of_one(scores, clicked), _slow(scores, clicked))


def test_impressions_that_say_nothing_are_left_out() -> None:
    """Impressions where everything or nothing was clicked do not count."""

    class Position:
        def scores_of(self, impression):
            return -np.arange(len(impression.clicked_C), dtype=np.float64)

    def shown(*clicked):
        return Impression(np.empty(0, np.int64), 0, np.arange(1, len(clicked) + 1), np.array(clicked, np.bool_))

    found = impression_metrics(Position(), [shown(True, False), shown(True, True), shown(False, False)])
    assert (found.impressions, found.auc, found.mrr, found.ndcg_5) == (1, 1.0, 1.0, 1.0)
