"""Diverse choice among scored candidates."""

import numpy as np
import pytest

from app.selection.caps import OpenPlaces
from app.selection.diversity import Method, diverse_positions

TWINS_AND_A_STRANGER = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
METHODS: tuple[Method, ...] = ("dpp", "mmr")


@pytest.mark.parametrize("method", METHODS)
def test_a_stranger_passes_a_twin(method: Method) -> None:
    """A slightly less relevant item that differs is chosen before a twin of the first."""
    scores_M = np.array([1.0, 0.95, 0.9, 0.0])
    vectors_MD = np.concatenate([TWINS_AND_A_STRANGER, [[0, 0]]]).astype(np.float32)
    assert diverse_positions(scores_M, vectors_MD, 2, diversity=0.5, method=method).tolist() == [0, 2]


@pytest.mark.parametrize("method", METHODS)
def test_the_chosen_are_listed_by_score(method: Method) -> None:
    """Whatever was chosen first, the list falls in score."""
    rng = np.random.default_rng(8)
    scores_M = rng.normal(size=50)
    chosen = diverse_positions(scores_M, rng.normal(size=(50, 6)).astype(np.float32), 12, diversity=0.9, method=method)
    assert (np.diff(scores_M[chosen]) <= 0).all()


def test_a_setting_means_the_same_for_every_scale_of_scores() -> None:
    """Moving and stretching all scores changes nothing."""
    rng = np.random.default_rng(4)
    vectors_MD, scores_M = rng.normal(size=(60, 8)).astype(np.float32), rng.normal(size=60)
    np.testing.assert_array_equal(
        diverse_positions(scores_M, vectors_MD, 10, diversity=0.3),
        diverse_positions(7.0 * scores_M - 3.0, vectors_MD, 10, diversity=0.3),
    )


@pytest.mark.parametrize("method", METHODS)
def test_without_diversity_the_scores_decide(method: Method) -> None:
    """Diversity 0 is the order of the scores, ties in input order."""
    chosen = diverse_positions(np.array([1.0, 2.0, 1.0]), TWINS_AND_A_STRANGER, 3, diversity=0.0, method=method)
    assert chosen.tolist() == [1, 0, 2]


@pytest.mark.parametrize("method", METHODS)
def test_more_diversity_never_lowers_the_spread(method: Method) -> None:
    """Over random candidates the mean pairwise distance of the list grows from diversity 0 to 0.3 to 1."""
    rng = np.random.default_rng(5)
    vectors_MD = rng.normal(size=(100, 16)).astype(np.float32)
    scores_M = rng.normal(size=100)
    spread = []
    for diversity in (0.0, 0.3, 1.0):
        chosen = diverse_positions(scores_M, vectors_MD, 20, diversity=diversity, method=method)
        unit = vectors_MD[chosen] / np.linalg.norm(vectors_MD[chosen], axis=1, keepdims=True)
        spread.append(1 - (unit @ unit.T)[np.triu_indices(20, 1)].mean())
    assert spread[0] < spread[1] < spread[2]


def test_length_of_vectors_does_not_count() -> None:
    """Scaling item vectors changes nothing: only their directions are compared."""
    rng = np.random.default_rng(2)
    vectors_MD, scores_M = rng.normal(size=(30, 8)).astype(np.float32), rng.normal(size=30)
    scale_M1 = rng.uniform(0.5, 4, size=(30, 1)).astype(np.float32)
    np.testing.assert_array_equal(
        diverse_positions(scores_M, vectors_MD, 10, diversity=0.4),
        diverse_positions(scores_M, vectors_MD * scale_M1, 10, diversity=0.4),
    )


@pytest.mark.parametrize("method", METHODS)
def test_more_places_than_dimensions(method: Method) -> None:
    """Identical and zero vectors still fill the list, each candidate once."""
    vectors_MD = np.zeros((40, 2), np.float32)
    vectors_MD[:20, 0] = 1.0
    chosen = diverse_positions(np.zeros(40), vectors_MD, 40, diversity=1.0, method=method)
    assert sorted(chosen.tolist()) == list(range(40))


def test_caps_hold_while_diversifying() -> None:
    """A candidate whose group is full is not chosen, however novel."""
    places = OpenPlaces({"category": ["a", "b", "a"]}, {"category": 1}, count=3)
    chosen = diverse_positions(np.array([1.0, 0.95, 0.9]), TWINS_AND_A_STRANGER, 2, diversity=0.9, places=places)
    assert chosen.tolist() == [0, 1]


@pytest.mark.parametrize("diversity", [-0.1, 1.1, float("nan")])
def test_diversity_is_bounded(diversity: float) -> None:
    """A diversity outside 0..1 is refused."""
    with pytest.raises(ValueError, match=r"expected 0\.\.1"):
        diverse_positions(np.zeros(3), TWINS_AND_A_STRANGER, 2, diversity=diversity)


def test_infinite_scores_are_refused() -> None:
    """A score that is not finite cannot be weighed against novelty."""
    with pytest.raises(ValueError, match="not finite"):
        diverse_positions(np.array([0, -np.inf, 0]), TWINS_AND_A_STRANGER, 2, diversity=0.5)
