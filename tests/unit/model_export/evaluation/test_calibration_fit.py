"""Fitting and measuring calibration."""

import numpy as np
import pytest

from app.contract.calibration import PiecewiseLinear, Platt
from model_export.evaluation.calibration_fit import ScoredPairs, fit_calibration, reliability, scored_pairs
from model_export.evaluation.questions import Questions


def _world(count, seed, distortion=lambda logs: logs):
    """Return pairs whose true probability is known, with scores that are a rising distortion of its logarithm."""
    rng = np.random.default_rng(seed)
    probability_P = np.exp(rng.uniform(-6, -0.7, count))
    return ScoredPairs(
        scores_P=distortion(np.log(probability_P)),
        hits_P=rng.random(count) < probability_P,
        weights_P=np.ones(count),
        listed_P=np.ones(count, np.bool_),
    ), probability_P


@pytest.mark.parametrize(
    "distortion",
    [lambda logs: logs, lambda logs: 3 * logs + 5, lambda logs: -((-logs) ** 0.5)],
    ids=["none", "line", "root"],
)
def test_isotonic_undoes_any_rising_distortion(distortion) -> None:
    """With many hits the fitted knots give back the true probabilities within a calibration error of 0.01."""
    pairs, _ = _world(60_000, 0, distortion)
    calibration = fit_calibration(pairs)
    assert isinstance(calibration, PiecewiseLinear)
    fresh, probability_P = _world(60_000, 1, distortion)
    assert reliability(calibration, fresh, listed_only=True).expected_error < 0.01
    assert np.abs(calibration.probabilities(fresh.scores_P) - probability_P).mean() < 0.015


def test_few_hits_get_platt() -> None:
    """With few hits two numbers are fitted, and they undo a linear distortion of log-odds."""
    rng = np.random.default_rng(0)
    logits_P = rng.normal(-3, 1, 2000)
    pairs = ScoredPairs(
        2 * logits_P + 1, rng.random(2000) < 1 / (1 + np.exp(-logits_P)), np.ones(2000), np.ones(2000, np.bool_)
    )
    calibration = fit_calibration(pairs)
    assert isinstance(calibration, Platt)
    assert calibration.slope == pytest.approx(0.5, abs=0.12)


def test_weights_stand_for_pairs() -> None:
    """Dropping nine of ten misses and giving the rest a weight of ten leaves the probabilities about the same."""
    pairs, _ = _world(80_000, 3)
    kept = pairs.hits_P | (np.random.default_rng(0).random(80_000) < 0.1)
    thinned = ScoredPairs(
        pairs.scores_P[kept], pairs.hits_P[kept], np.where(pairs.hits_P[kept], 1.0, 10.0), pairs.listed_P[kept]
    )
    scores = np.linspace(-5, -1, 50)
    whole, part = fit_calibration(pairs).probabilities(scores), fit_calibration(thinned).probabilities(scores)
    np.testing.assert_allclose(part, whole, atol=0.03)


def test_a_wrong_probability_is_found_out() -> None:
    """Predicting twice the truth has an error of the mean truth."""
    pairs, probability_P = _world(100_000, 5)
    double = PiecewiseLinear(np.array([-7.0, -0.7]), np.minimum(np.array([-7.0, -0.7]) + np.log(2), 0))
    found = reliability(double, pairs, listed_only=False)
    assert found.expected_error == pytest.approx(probability_P.mean(), rel=0.05)
    assert found.log_loss > reliability(fit_calibration(pairs), pairs, listed_only=False).log_loss


def test_pairs_estimate_the_whole_catalogue(make_dataset, given_scores) -> None:
    """The weights add up to all unseen items of all questions, and every answer is in."""
    rng = np.random.default_rng(0)
    data = make_dataset([rng.permutation(np.arange(1, 401))[:5].tolist() for _ in range(40)], item_count=400)
    from model_export.data.splits import leave_one_out

    questions = Questions.of(data, leave_one_out(data).test)
    pairs = scored_pairs(given_scores(rng.normal(size=(40, 401))), questions)
    assert pairs.weights_P.sum() == pytest.approx(40 * (400 - 4))
    assert pairs.hits_P.sum() == 40
    assert pairs.listed_P.sum() == 40 * 20
