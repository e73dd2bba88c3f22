"""Scores to probabilities."""

import json

import numpy as np
import pytest

from app.contract.calibration import PiecewiseLinear, Platt, calibration_from
from app.errors import BundleError

LINE = PiecewiseLinear(np.array([-8.0, -4.0, -1.0]), np.log([0.001, 0.02, 0.3]))
PLATT = Platt(slope=0.9, intercept=-0.2)


@pytest.mark.parametrize("calibration", [LINE, PLATT])
def test_probabilities_rise_and_stay_in_bounds(calibration) -> None:
    """A higher score never has a lower probability, and all are in 0..1, in float32."""
    found = calibration.probabilities(np.linspace(-200, 200, 5001))
    assert found.dtype == np.float32
    assert (np.diff(found) >= 0).all()
    assert 0 <= found.min() <= found.max() <= 1


@pytest.mark.parametrize("calibration", [LINE, PLATT])
def test_the_manifest_keeps_every_digit(calibration) -> None:
    """Through the manifest's JSON and back the probabilities are the same."""
    again = calibration_from(json.loads(json.dumps(calibration.to_manifest())))
    scores = np.linspace(-12, 3, 100).astype(np.float32)
    np.testing.assert_array_equal(again.probabilities(scores), calibration.probabilities(scores))


def test_knots_are_met() -> None:
    """At a knot the probability is the knot's."""
    np.testing.assert_allclose(LINE.probabilities(LINE.scores_J), [0.001, 0.02, 0.3], rtol=1e-6)


def test_log_probabilities_pass_through() -> None:
    """A right model's scores are log-probabilities already: two knots on the diagonal leave them as they are."""
    same = PiecewiseLinear(np.array([-20.0, 0.0]), np.array([-20.0, 0.0]))
    np.testing.assert_allclose(same.probabilities(np.log([0.3, 0.01])), [0.3, 0.01], rtol=1e-6)


def test_a_bundle_without_calibration_has_none() -> None:
    """An empty entry means no probabilities."""
    assert calibration_from({}) is None


@pytest.mark.parametrize(
    "entry",
    [
        {"kind": "magic"},
        {"kind": "platt", "slope": 1.0},
        {"kind": "platt", "slope": -1.0, "intercept": 0.0},
        {"kind": "platt", "slope": "steep", "intercept": 0.0},
        {"kind": "piecewise-linear", "scores": [0, 1], "log_probabilities": [-1]},
        {"kind": "piecewise-linear", "scores": [1, 0], "log_probabilities": [-2, -1]},
        {"kind": "piecewise-linear", "scores": [0, 1], "log_probabilities": [-1, -2]},
        {"kind": "piecewise-linear", "scores": [0, 1], "log_probabilities": [-1, 0.5]},
        {"kind": "piecewise-linear", "scores": [], "log_probabilities": []},
        {"kind": "piecewise-linear", "scores": [0, float("nan")], "log_probabilities": [-2, -1]},
    ],
    ids=str,
)
def test_a_broken_entry_is_refused(entry) -> None:
    """An unknown kind, a missing member or numbers that do not rise are a bundle error."""
    with pytest.raises(BundleError):
        calibration_from(entry)
