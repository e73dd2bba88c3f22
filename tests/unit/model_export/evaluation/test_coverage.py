"""Coverage, inequality and diversity of lists."""

import numpy as np
import pytest

from model_export.evaluation.coverage import gini, intra_list_diversity, list_quality


def test_diversity_equals_the_mean_over_pairs() -> None:
    """The closed form equals a loop over the pairs, empty places left out."""
    rng = np.random.default_rng(0)
    vectors_ND = rng.normal(size=(30, 5)).astype(np.float32)
    lists_TK = rng.integers(0, 30, (40, 6))
    unit_ND = vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    for found, items in zip(intra_list_diversity(lists_TK, vectors_ND), lists_TK, strict=True):
        real = items[items > 0]
        pairs = [1 - unit_ND[a] @ unit_ND[b] for n, a in enumerate(real) for b in real[n + 1 :]]
        assert found == pytest.approx(np.mean(pairs), abs=1e-5)


def test_coverage_counts_items_that_are_shown() -> None:
    """Two of four items in the lists are a coverage of one half."""
    vectors = np.eye(5, dtype=np.float32)
    assert list_quality(np.array([[1, 2], [2, 1]]), vectors).catalogue_coverage == 0.5


def test_unrelated_items_are_fully_diverse() -> None:
    """Orthogonal vectors give a diversity of 1, equal ones of 0."""
    assert intra_list_diversity(np.array([[1, 2]]), np.eye(3, dtype=np.float32)).tolist() == [1.0]
    assert intra_list_diversity(np.array([[1, 2]]), np.ones((3, 4), np.float32))[0] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("amounts", "expected"), [([0.0, 0.0], 0.0), ([2.0, 2.0, 2.0], 0.0), ([0, 0, 0, 1.0], 0.75)])
def test_gini(amounts: list[float], expected: float) -> None:
    """Equal amounts have a Gini of 0; one of four taking all has 0.75."""
    assert gini(np.array(amounts)) == pytest.approx(expected)
