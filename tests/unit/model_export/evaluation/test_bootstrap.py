"""Intervals and significance."""

import numpy as np
import pytest

from model_export.evaluation.bootstrap import difference_across_seeds, interval, paired_difference, resampled_means


def test_resampled_means_are_those_of_drawing_one_by_one() -> None:
    """Mean and spread of the multinomial draw equal those of drawing values with replacement."""
    values = np.random.default_rng(0).choice([0.0, 0.3, 1.0], 400)
    rng = np.random.default_rng(1)
    slow = [rng.choice(values, 400).mean() for _ in range(4000)]
    fast = resampled_means(values)
    np.testing.assert_allclose([fast.mean(), fast.std()], [np.mean(slow), np.std(slow)], rtol=0.05)


def test_interval_covers_the_truth_95_times_of_100() -> None:
    """Over 400 samples the interval holds the true mean in about 95%."""
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(400):
        found = interval((rng.random(300) < 0.3).astype(np.float64), resamples=500)
        covered += found.low <= 0.3 <= found.high
    assert 0.92 <= covered / 400 <= 0.98


def test_same_model_is_not_significant() -> None:
    """A model against itself has no difference and a p-value of 1."""
    values = np.random.default_rng(0).random(100)
    found = paired_difference(values, values)
    assert (found.difference.mean, found.p_value) == (0.0, 1.0)


def test_a_small_steady_gain_is_significant() -> None:
    """Pairing finds a gain that is far smaller than the spread between users."""
    rng = np.random.default_rng(0)
    theirs = rng.random(1000)
    found = paired_difference(theirs + 0.01 + rng.normal(0, 0.02, 1000), theirs)
    assert found.p_value < 0.01
    assert found.difference.low > 0


def test_p_values_are_uniform_without_a_difference() -> None:
    """Between equally good models about 5% of the p-values are under 0.05."""
    rng = np.random.default_rng(4)
    values = np.array([0.0, 0.0, 0.3, 0.5, 1.0])
    p_values = [paired_difference(rng.choice(values, 400), rng.choice(values, 400)).p_value for _ in range(500)]
    assert 0.025 <= np.mean(np.array(p_values) < 0.05) <= 0.075


def test_one_lucky_seed_is_not_significant() -> None:
    """A gain that one of three trainings has alone does not survive the resampling of the seeds."""
    theirs = np.zeros(2000)
    ours = np.zeros((3, 2000))
    ours[0] = 0.1
    ours[1:] = -0.01
    assert difference_across_seeds(ours, theirs).p_value > 0.05
    assert paired_difference(ours.mean(axis=0), theirs).p_value < 0.05


def test_a_gain_in_every_seed_is_significant() -> None:
    """A gain that all trainings share is found."""
    rng = np.random.default_rng(1)
    theirs = rng.random(2000)
    ours = theirs + 0.05 + rng.normal(0, 0.1, (3, 2000))
    found = difference_across_seeds(ours, theirs)
    assert found.p_value < 0.01
    assert found.difference.mean == pytest.approx(0.05, abs=0.005)


def test_no_difference_is_ever_quite_certain() -> None:
    """However clear it is, so many resamples cannot show less than two in their number."""
    ours, theirs = np.ones(50), np.zeros(50)
    certain = 2 / 401
    assert paired_difference(ours, theirs, resamples=400).p_value == certain
    assert difference_across_seeds(np.stack([ours, ours]), theirs, resamples=400).p_value == certain


def test_other_questions_are_refused() -> None:
    """Models that answered different questions cannot be paired."""
    with pytest.raises(ValueError, match="the same questions"):
        paired_difference(np.zeros(3), np.zeros(4))
