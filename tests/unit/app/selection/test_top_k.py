"""Stable top-k."""

import numpy as np
import pytest

from app.selection.top_k import top_k_positions


def test_ties_keep_input_order() -> None:
    """Of equal scores the earlier candidate comes first."""
    assert top_k_positions(np.array([1, 3, 1, 3, 1], np.float32), 4).tolist() == [1, 3, 0, 2]


def test_ties_at_the_border_of_a_partition_keep_input_order() -> None:
    """In a catalogue large enough to be partitioned, of the ties at the k-th place the earliest are kept."""
    scores_C = np.zeros(50_000, np.float32)
    scores_C[[40_000, 7]] = 1.0
    assert top_k_positions(scores_C, 5).tolist() == [7, 40_000, 0, 1, 2]


def test_more_than_there_are_means_all() -> None:
    """A k beyond the number of candidates returns each candidate once."""
    assert top_k_positions(np.array([1, 2], np.float32), 10).tolist() == [1, 0]


def test_no_candidates_give_an_empty_list() -> None:
    """No scores give no positions."""
    assert top_k_positions(np.empty(0, np.float32), 3).tolist() == []


def test_minus_infinity_comes_last() -> None:
    """A candidate at minus infinity is still listed, after all others."""
    assert top_k_positions(np.array([-np.inf, 0, -5], np.float32), 3).tolist() == [1, 2, 0]


@pytest.mark.parametrize("count", [3, 5000])
def test_nan_is_refused_with_its_position(count: int) -> None:
    """A NaN score is an error that names where it stands."""
    scores_C = np.zeros(count, np.float32)
    scores_C[2] = np.nan
    with pytest.raises(ValueError, match="position 2 is NaN"):
        top_k_positions(scores_C, 2)


def test_k_of_zero_is_refused() -> None:
    """A list of no places is an error."""
    with pytest.raises(ValueError, match="k is 0"):
        top_k_positions(np.zeros(3, np.float32), 0)
