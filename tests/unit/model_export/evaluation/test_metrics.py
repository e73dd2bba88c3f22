"""Metrics of ranks."""

import numpy as np
import pytest

from model_export.evaluation.metrics import metric_keys, summary, unmasked_summary, values_of_metric
from model_export.evaluation.ranks import Ranks

RANKS = Ranks(
    masked_T=np.array([1, 3, 10, 11]),
    unmasked_T=np.array([2, 3, 12, 40]),
    auc_T=np.array([1.0, 0.9, 0.8, 0.5], np.float32),
    lists_TK=np.zeros((4, 20), np.int64),
)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("HR@10", 0.75),
        ("NDCG@10", (1 + 0.5 + 1 / np.log2(11)) / 4),
        ("MRR@10", (1 + 1 / 3 + 0.1) / 4),
        ("Precision@10", 0.075),
        ("Recall@10", 0.75),
        ("F1@10", 2 * 0.075 / (1 + 0.1)),
        ("HR@5", 0.5),
        ("NDCG@20", (1 + 0.5 + 1 / np.log2(11) + 1 / np.log2(12)) / 4),
        ("Accuracy", 0.25),
        ("AUC", 0.8),
    ],
)
def test_metric_by_hand(key: str, expected: float) -> None:
    """Each mean equals the formula written out for ranks 1, 3, 10 and 11."""
    assert summary(RANKS)[key] == pytest.approx(expected, rel=1e-6)


def test_f1_of_a_question_is_the_harmonic_mean() -> None:
    """F1 at 10 of a hit is 2PR / (P + R) with precision 0.1 and recall 1."""
    assert values_of_metric(RANKS, "F1@10")[0] == pytest.approx(2 * 0.1 * 1 / 1.1)


def test_unmasked_uses_the_unmasked_ranks() -> None:
    """The unmasked hit rate counts the ranks with seen items in the list."""
    assert unmasked_summary(RANKS)["HR@10"] == 0.5


def test_unknown_metric_is_refused() -> None:
    """A metric that there is not is an error that says what there is."""
    with pytest.raises(ValueError, match="'HIT@10' is no metric"):
        values_of_metric(RANKS, "HIT@10")


def test_no_questions_no_numbers() -> None:
    """Without questions every metric is 0 rather than NaN."""
    none = Ranks(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros((0, 20), np.int64))
    assert summary(none) == dict.fromkeys(metric_keys(), 0.0)
