"""How activations and weights become eight bits."""

from __future__ import annotations

import numpy as np
import pytest

from model_export.onnx_export.activation_schemes import choose_scheme
from model_export.onnx_export.encoder_quantization import rounded_layer
from model_export.onnx_export.weight_rounding import compensated_weights, nearest_weights, weight_scales


def rows_and_weights(inputs=64, outputs=32, rows=600):
    random = np.random.default_rng(0)
    mixing = random.normal(size=(inputs, inputs)) * np.geomspace(1.0, 0.01, inputs)
    rows_RK = (random.normal(size=(rows, inputs)) @ mixing.T).astype(np.float32)
    return rows_RK, random.normal(size=(inputs, outputs)).astype(np.float32)


def relative_error(layer, rows_RK, weights_KX, bias_X):
    exact_RX = rows_RK @ weights_KX + bias_X
    found_RX = layer.scheme.rounded(rows_RK) @ (layer.weights_KX * layer.scales_X) + layer.bias_X
    found_RX += rows_RK[:, layer.scheme.outliers] @ layer.outlier_weights_NX
    return np.square(found_RX - exact_RX).mean() / np.square(exact_RX).mean()


def test_compensated_weights_give_half_the_error_on_other_rows_of_the_same_kind():
    """Rounded one input at a time, weights keep products that correlated inputs make better than the nearest do."""
    rows_RK, weights_KX = rows_and_weights()
    scales_X = weight_scales(weights_KX)
    seen_RK, new_RK = rows_RK[:400], rows_RK[400:]
    nearest, compensated = (
        np.square(new_RK @ (rounded * scales_X - weights_KX)).mean()
        for rounded in (nearest_weights(weights_KX, scales_X), compensated_weights(weights_KX, scales_X, seen_RK))
    )
    assert compensated < nearest / 2


def test_an_input_that_is_always_zero_keeps_its_nearest_weights():
    """Nothing is known of such an input, so its weights take no part in making up for others."""
    rows_RK, weights_KX = rows_and_weights()
    rows_RK[:, 5] = 0.0
    scales_X = weight_scales(weights_KX)
    compensated = compensated_weights(weights_KX, scales_X, rows_RK)
    np.testing.assert_array_equal(nearest_weights(weights_KX, scales_X)[5], compensated[5])


@pytest.mark.parametrize("outlier", [None, 300.0])
def test_a_rounded_layer_is_near_with_and_without_a_channel_of_outliers(outlier):
    """One channel a hundred times larger than the rest costs the others none of their eight bits."""
    rows_RK, weights_KX = rows_and_weights(outputs=16)
    if outlier is not None:
        rows_RK[::7, 3] = outlier
    scheme = choose_scheme(rows_RK, weights_KX)
    bias_X = np.linspace(-1, 1, 16, dtype=np.float32)
    layer = rounded_layer(weights_KX, bias_X, scheme, rows_RK)
    assert relative_error(layer, rows_RK, weights_KX, bias_X) < 5e-4
    rest = np.flatnonzero(rows_RK[:, 3] != outlier)
    assert relative_error(layer, rows_RK[rest], weights_KX, bias_X) < 1e-3


def test_the_bias_takes_back_the_mean_error():
    """Over the calibration rows the rounded layer errs by nothing on average."""
    rows_RK, weights_KX = rows_and_weights()
    rows_RK = np.maximum(rows_RK, -0.17)
    bias_X = np.zeros(32, np.float32)
    layer = rounded_layer(weights_KX, bias_X, choose_scheme(rows_RK, weights_KX), rows_RK)
    found_RX = layer.scheme.rounded(rows_RK) @ (layer.weights_KX * layer.scales_X) + layer.bias_X
    found_RX += rows_RK[:, layer.scheme.outliers] @ layer.outlier_weights_NX
    np.testing.assert_allclose((found_RX - rows_RK @ weights_KX).mean(axis=0), 0.0, atol=1e-3)


def test_values_that_are_not_finite_are_refused():
    """The sentence says what is wrong with the rows."""
    rows_RK, weights_KX = rows_and_weights()
    rows_RK[0, 0] = np.nan
    with pytest.raises(ValueError, match="hold values that are not finite"):
        choose_scheme(rows_RK, weights_KX)
