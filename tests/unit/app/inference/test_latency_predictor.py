"""The predictor learns from its runs and is not thrown off by one of them."""

from __future__ import annotations

import pytest

from app.inference.latency_predictor import MARGIN, LatencyCurve, LatencyPredictor

CURVE = LatencyCurve((10, 100, 1000), (0.001, 0.002, 0.011))


def test_the_curve_is_interpolated_and_continued():
    """Between points the curve is straight, beyond the last it grows in proportion."""
    assert CURVE.seconds_of(550) == pytest.approx(0.0065)
    assert CURVE.seconds_of(2000) == pytest.approx(0.022)


def test_noise_cannot_make_a_longer_run_shorter():
    """A measured curve is made ascending."""
    assert LatencyCurve.through([100, 10], [0.001, 0.003]).seconds == (0.003, 0.003)


@pytest.mark.parametrize("cells", [10, 55, 100, 700, 3000])
def test_what_is_affordable_is_the_inverse_of_what_is_predicted(cells):
    """As many cells as a prediction was made for fit into the predicted time, within one."""
    predictor = LatencyPredictor(CURVE)
    assert predictor.affordable(predictor.predict_s(cells) + 1e-9) == pytest.approx(cells, abs=1)


def test_too_little_time_affords_nothing():
    """Less than the shortest run affords no candidate at all."""
    assert LatencyPredictor(CURVE).affordable(0.0009) == 0


def test_it_follows_a_slower_machine():
    """After many runs that take three times as long, predictions are three times as long."""
    predictor = LatencyPredictor(CURVE)
    for _ in range(200):
        predictor.observe(100, 0.006)
    assert predictor.predict_s(100) == pytest.approx(0.006 * MARGIN, rel=0.01)


def test_one_pause_of_the_machine_changes_little():
    """A single run that took a thousand times as long moves the prediction by less than a fifth."""
    predictor = LatencyPredictor(CURVE)
    predictor.observe(100, 2.0)
    assert predictor.scale < 1.2
