"""How a score becomes the probability that its item is the user's next one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from app.errors import BundleError

if TYPE_CHECKING:
    from app.contract.tensors import Float32Array, FloatArray

PIECEWISE: Final = "piecewise-linear"
PLATT: Final = "platt"


@dataclass(frozen=True, slots=True)
class PiecewiseLinear:
    """A rising line through knots in the plane of score and log-probability; constant beyond the ends.

    Scores are log-probabilities already, up to what the model gets wrong, so the line is straight where it is right.

    Attributes:
        scores_J: ``float64[J]`` strictly rising.
        log_probabilities_J: ``float64[J]`` never falling, at most 0.
    """

    scores_J: FloatArray
    log_probabilities_J: FloatArray

    def probabilities(self, scores: FloatArray) -> Float32Array:
        """Return ``float32``, the probability of each score, 0..1; a higher score never gets a lower one.

        >>> line = PiecewiseLinear(np.array([-5.0, -1.0]), np.log([0.01, 0.25]))
        >>> line.probabilities(np.array([-9.0, -3.0, 0.0]))
        array([0.01, 0.05, 0.25], dtype=float32)
        """
        line: FloatArray = np.interp(scores, self.scores_J, self.log_probabilities_J)
        return np.exp(line).astype(np.float32)

    def to_manifest(self) -> dict[str, Any]:
        """Return what the manifest's ``calibration`` holds."""
        return {
            "kind": PIECEWISE,
            "scores": [float(value) for value in self.scores_J],
            "log_probabilities": [float(value) for value in self.log_probabilities_J],
        }


@dataclass(frozen=True, slots=True)
class Platt:
    """The logistic function of a line: ``1 / (1 + exp(-(slope * score + intercept)))``.

    Attributes:
        slope: Above 0.
        intercept: Any number.
    """

    slope: float
    intercept: float

    def probabilities(self, scores: FloatArray) -> Float32Array:
        """Return ``float32``, the probability of each score, 0..1; a higher score never gets a lower one."""
        logits = np.clip(self.slope * scores.astype(np.float64) + self.intercept, -80.0, 80.0)
        return (1.0 / (1.0 + np.exp(-logits))).astype(np.float32)

    def to_manifest(self) -> dict[str, Any]:
        """Return what the manifest's ``calibration`` holds."""
        return {"kind": PLATT, "slope": self.slope, "intercept": self.intercept}


Calibration = PiecewiseLinear | Platt


def calibration_from(manifest_entry: dict[str, Any]) -> Calibration | None:
    """Return the calibration that a manifest's ``calibration`` describes; None for an empty entry.

    Raises:
        BundleError: If the kind is unknown, a member is missing, or the numbers do not rise as they must.
    """
    if not manifest_entry:
        return None
    kind = manifest_entry.get("kind")
    try:
        if kind == PLATT:
            return _checked_platt(Platt(float(manifest_entry["slope"]), float(manifest_entry["intercept"])))
        if kind == PIECEWISE:
            return _checked_line(
                PiecewiseLinear(
                    np.asarray(manifest_entry["scores"], np.float64),
                    np.asarray(manifest_entry["log_probabilities"], np.float64),
                )
            )
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"calibration of kind {kind!r} cannot be read: {error!r}") from error
    raise BundleError(f"calibration is of kind {kind!r}, expected {PIECEWISE!r} or {PLATT!r}")


def _checked_platt(platt: Platt) -> Platt:
    if not (np.isfinite(platt.slope) and np.isfinite(platt.intercept) and platt.slope > 0):
        raise BundleError(
            f"calibration has slope {platt.slope} and intercept {platt.intercept}, expected a slope above 0"
        )
    return platt


def _checked_line(line: PiecewiseLinear) -> PiecewiseLinear:
    scores_J, values_J = line.scores_J, line.log_probabilities_J
    if scores_J.ndim != 1 or scores_J.shape != values_J.shape or len(scores_J) == 0:
        raise BundleError(
            f"calibration has {scores_J.shape} scores for {values_J.shape} log-probabilities, expected as many"
        )
    if not (np.isfinite(scores_J).all() and np.isfinite(values_J).all()):
        raise BundleError("calibration holds a number that is not finite")
    if (np.diff(scores_J) <= 0).any() or (np.diff(values_J) < 0).any() or values_J[-1] > 0:
        raise BundleError("calibration does not rise, expected rising scores and log-probabilities of at most 0")
    return line
