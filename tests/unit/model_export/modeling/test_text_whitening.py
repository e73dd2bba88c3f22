"""The map that makes text vectors round."""

from __future__ import annotations

import numpy as np
import pytest

from model_export.modeling.text_whitening import fit_whitening

RANDOM = np.random.default_rng(3)
SPREAD = np.array([9.0, 3.0, 1.0, 0.5])
VECTORS = (5.0 + RANDOM.normal(size=(4000, 4)) * SPREAD).astype(np.float32)


def test_coordinates_are_centred_and_of_equal_variance():
    """On the vectors that it was fitted on, each has mean 0 and a variance just under 1."""
    whitened = fit_whitening(VECTORS, width=3).apply(VECTORS)
    np.testing.assert_allclose(whitened.mean(axis=0), 0.0, atol=1e-3)
    variances = whitened.var(axis=0)
    assert (variances < 1.0).all()
    assert (variances > 0.95).all()


def test_a_faint_direction_is_not_blown_up():
    """A direction of a ten-thousandth of the variance is mostly noise, and stays far below the others."""
    faint = VECTORS.copy()
    faint[:, 3] = RANDOM.normal(size=len(faint)) * 0.01
    variances = fit_whitening(faint, width=4).apply(faint).var(axis=0)
    assert variances[0] > 0.9
    assert variances[3] < 0.1


def test_each_direction_has_a_fixed_sign():
    """The largest entry of a direction is positive, whatever sign the decomposition gave it."""
    for vectors in (VECTORS, -VECTORS, VECTORS[:, ::-1].copy()):
        projection = fit_whitening(vectors, width=4).projection
        assert (projection[np.abs(projection).argmax(axis=0), np.arange(4)] > 0).all()


def test_coordinates_beyond_the_rank_are_zero():
    """Three texts span two directions; the others are 0 for every text."""
    whitening = fit_whitening(VECTORS[:3], width=6)
    assert whitening.width == 6
    whitened = whitening.apply(VECTORS)
    assert (whitened[:, 2:] == 0).all()
    assert (whitened[:, :2].std(axis=0) > 0).all()


@pytest.mark.parametrize("vectors", [np.empty((0, 4), np.float32), np.full((2, 4), np.nan, np.float32)])
def test_vectors_that_say_nothing_are_refused(vectors):
    """No vector, or one that is not finite, is an error that says so."""
    with pytest.raises(ValueError, match="whitening takes finite vectors"):
        fit_whitening(vectors, width=2)
