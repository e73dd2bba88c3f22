"""Choosing how the activations that a linear layer reads become eight bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from model_export.onnx_export.weight_rounding import nearest_weights, weight_scales

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.contract.tensors import Float32Array, Int64Array

_SMOOTHING: Final = (0.5, 0.75, 0.9)
_CLIPS: Final = (1.0, 0.9, 0.8)
_OUTLIERS: Final = 8
_ROWS_COMPARED: Final = 1024
_PASS_MUST_GAIN: Final = 1.06
"""What the squared error has to be divided by for each pass over a hidden state that a scheme costs."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """How one activation becomes eight bits.

    ``uint8 = round((x / smoothing + shift) / scale)``, where ``scale`` is fixed (*static*) or that of the row's largest
    value (*row*, ``scale`` is None). Dividing each channel by ``smoothing`` and multiplying the weights by it moves the
    difficulty of channels with outliers into the weights (SmoothQuant, Xiao et al. 2023). A few channels with the
    largest values may stay in float32, in a product of their own (LLM.int8, Dettmers et al. 2022). No scheme looks at
    other rows, so a text's vector does not depend on the texts beside it.

    Attributes:
        smoothing_K: float32[K], or None for ones.
        outliers: int64[n], the channels that are left in float32, ascending.
        shift: Added before rounding, so that what is not clipped is not negative.
        scale: Of the static scheme, else None.
        error: Squared error of the layers' outputs relative to their square, root mean square over the calibration
            rows: a layer norm follows, so an error counts against its own row, however large other rows are, and one
            bad row counts for more than many fair ones.
    """

    smoothing_K: Float32Array | None
    outliers: Int64Array
    shift: float
    scale: float | None
    error: float = np.inf

    def smoothed(self, rows_RK: Float32Array) -> Float32Array:
        """Return the rows as they are rounded, outliers as zeros."""
        smooth_RK = rows_RK.copy() if self.smoothing_K is None else rows_RK / self.smoothing_K
        smooth_RK[:, self.outliers] = 0.0
        return np.asarray(smooth_RK, np.float32)

    def rounded(self, rows_RK: Float32Array) -> Float32Array:
        """Return what eight bits keep of the rows, smoothed, outliers as zeros."""
        smooth_RK = self.smoothed(rows_RK)
        scales = self.scale or np.maximum(smooth_RK.max(axis=1, keepdims=True) + self.shift, 1e-6) / 255.0
        zero = np.rint(self.shift / self.scale) * self.scale if self.scale else self.shift
        rounded_RK = np.clip(np.rint((smooth_RK + zero) / scales), 0, 255) * scales - zero
        rounded_RK[:, self.outliers] = 0.0
        return np.asarray(rounded_RK, np.float32)

    def weights(self, weights_KX: Float32Array) -> Float32Array:
        """Return the weights of the eight-bit product, those of outliers as zeros."""
        smooth_KX = weights_KX.copy() if self.smoothing_K is None else weights_KX * self.smoothing_K[:, None]
        smooth_KX[self.outliers] = 0.0
        return np.asarray(smooth_KX, np.float32)


def choose_scheme(rows_RK: Float32Array, weights_KX: Float32Array) -> Scheme:
    """Return the scheme with the least error, where more work has to gain its share.

    Args:
        rows_RK: Calibration rows in random order. Ranges are of them all, errors of the first 1,024.
        weights_KX: float32[K, X] of the layers that read the activation, side by side.

    Raises:
        ValueError: If an activation is not finite.
    """
    if not np.isfinite(rows_RK).all():
        raise ValueError(f"the calibration rows {rows_RK.shape} hold values that are not finite")
    compared_RK = rows_RK[:_ROWS_COMPARED]
    exact_RX = compared_RK @ weights_KX
    energy_R = np.maximum(np.square(exact_RX).mean(axis=1), 1e-12)
    best, least = Scheme(None, np.empty(0, np.int64), 0.0, None), np.inf
    for must_gain, scheme in _candidates(rows_RK, weights_KX):
        smooth_KX = scheme.weights(weights_KX)
        scales_X = weight_scales(smooth_KX)
        found_RX = scheme.rounded(compared_RK) @ (nearest_weights(smooth_KX, scales_X) * scales_X)
        found_RX += compared_RK[:, scheme.outliers] @ weights_KX[scheme.outliers]
        error = float(np.sqrt(np.square(np.square(found_RX - exact_RX).mean(axis=1) / energy_R).mean()))
        if error * must_gain < least:
            least = error * must_gain
            best = Scheme(scheme.smoothing_K, scheme.outliers, scheme.shift, scheme.scale, error)
    return best


def _candidates(rows_RK: Float32Array, weights_KX: Float32Array) -> Iterator[tuple[float, Scheme]]:
    """Yield what an activation may become, and the gain in error that pays for its work."""
    none = np.empty(0, np.int64)
    outliers = np.sort(np.argsort(-np.abs(rows_RK).max(axis=0), kind="stable")[:_OUTLIERS]).astype(np.int64)
    inputs, outputs = weights_KX.shape
    hidden = min(inputs, outputs)
    row_must_gain = _PASS_MUST_GAIN ** ((3 * inputs + 2 * outputs) / hidden)
    smoothing_must_gain = _PASS_MUST_GAIN ** (inputs / hidden)
    yield from _clipped(1.0, None, none, rows_RK)
    yield row_must_gain, _row_scheme(None, rows_RK)
    if inputs > 4 * _OUTLIERS:
        yield from _clipped(_PASS_MUST_GAIN ** (2 * outputs / hidden), None, outliers, rows_RK)
    for strength in _SMOOTHING:
        smoothing_K = _smoothing(rows_RK, weights_KX, strength)
        yield from _clipped(smoothing_must_gain, smoothing_K, none, rows_RK)
        yield row_must_gain * smoothing_must_gain, _row_scheme(smoothing_K, rows_RK)


def _row_scheme(smoothing_K: Float32Array | None, rows_RK: Float32Array) -> Scheme:
    none = np.empty(0, np.int64)
    smooth_RK = Scheme(smoothing_K, none, 0.0, None).smoothed(rows_RK)
    return Scheme(smoothing_K, none, max(-float(smooth_RK.min()), 0.0), None)


def _clipped(
    must_gain: float, smoothing_K: Float32Array | None, outliers: Int64Array, rows_RK: Float32Array
) -> Iterator[tuple[float, Scheme]]:
    """Yield static schemes that cut off more and more of the largest values."""
    smooth_RK = Scheme(smoothing_K, outliers, 0.0, None).smoothed(rows_RK)
    low, high = min(float(smooth_RK.min()), 0.0), max(float(smooth_RK.max()), 0.0)
    for clip in _CLIPS:
        scale = max(clip * (high - low) / 255.0, 1e-12)
        yield must_gain, Scheme(smoothing_K, outliers, -clip * low, scale)


def _smoothing(rows_RK: Float32Array, weights_KX: Float32Array, strength: float) -> Float32Array:
    activation_K = np.maximum(np.abs(rows_RK).max(axis=0), 1e-5)
    weight_K = np.maximum(np.abs(weights_KX).max(axis=1), 1e-5)
    smoothing_K = activation_K**strength / weight_K ** (1.0 - strength)
    return np.asarray(smoothing_K / smoothing_K.mean(), np.float32)
