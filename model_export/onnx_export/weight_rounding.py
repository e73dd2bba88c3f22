"""Rounding a linear layer's weights to eight bits: to the nearest, or so that errors make up for each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from app.contract.tensors import Float32Array

_DAMPING: Final = 0.1
"""Share of the inputs' mean energy that is added to each of them: how little the calibration rows are trusted."""

_BLOCK: Final = 128


def weight_scales(weights_KX: Float32Array) -> Float32Array:
    """Return float32[X], the symmetric scale of each output: its largest weight becomes 127."""
    return np.asarray(np.maximum(np.abs(weights_KX).max(axis=0), 1e-12) / 127.0, np.float32)


def nearest_weights(weights_KX: Float32Array, scales_X: Float32Array) -> NDArray[np.int8]:
    """Return int8[K, X], each weight rounded on its own."""
    rounded: NDArray[np.int8] = np.clip(np.rint(weights_KX / scales_X), -127, 127).astype(np.int8)
    return rounded


def compensated_weights(weights_KX: Float32Array, scales_X: Float32Array, inputs_RK: Float32Array) -> NDArray[np.int8]:
    """Return int8[K, X], rounded one input at a time, the rest making up for the error on these inputs.

    This is GPTQ (Frantar et al. 2023): the product with ``inputs_RK`` comes out closer than with the nearest weights,
    at the same speed. An input that is always zero keeps its nearest weights.
    """
    energy_KK = inputs_RK.T.astype(np.float64) @ inputs_RK
    diagonal = np.diag_indices(len(energy_KK))
    energy_KK[diagonal] += _DAMPING * max(float(np.mean(energy_KK[diagonal])), 1e-12)
    spread_KK = np.linalg.cholesky(np.linalg.inv(energy_KK)).T.astype(np.float32)
    left_KX = weights_KX.astype(np.float32, copy=True)
    rounded = np.empty(weights_KX.shape, np.int8)
    for start in range(0, len(left_KX), _BLOCK):
        end = min(start + _BLOCK, len(left_KX))
        errors_BX = np.empty((end - start, left_KX.shape[1]), np.float32)
        for row in range(start, end):
            rounded[row] = nearest_weights(left_KX[row], scales_X)
            error_X = (left_KX[row] - rounded[row] * scales_X) / spread_KK[row, row]
            left_KX[row + 1 : end] -= np.outer(spread_KK[row, row + 1 : end], error_X)
            errors_BX[row - start] = error_X
        left_KX[end:] -= spread_KK[start:end, end:].T @ errors_BX
    return rounded
