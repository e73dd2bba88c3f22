"""Rewriting the linear layers of an encoder graph as products of eight-bit integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from model_export.onnx_export.graph_builder import ORT_DOMAIN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from app.contract.tensors import Float32Array
    from model_export.onnx_export.activation_schemes import Scheme


@dataclass(frozen=True, slots=True)
class Int8Linear:
    """One linear layer in eight bits.

    Attributes:
        scheme: How its input is rounded.
        weights_KX: int8[K, X], of smoothed inputs, zeros for outliers.
        scales_X: float32[X], what one step of a weight is worth.
        bias_X: float32[X], what the average rounding error costs taken back.
        outlier_weights_NX: float32[n, X], for the inputs that stay in float32.
    """

    scheme: Scheme
    weights_KX: NDArray[np.int8]
    scales_X: Float32Array
    bias_X: Float32Array
    outlier_weights_NX: Float32Array


def int8_model(model: Any, layers: dict[str, Int8Linear]) -> Any:
    """Return a copy of the graph where some Gemm nodes compute in eight bits.

    Every such Gemm becomes ``MatMulIntegerToFloat``: uint8 activations, quantised once for all layers that read them,
    int8 weights with a scale for each output, float32 out. Shift and zero points are folded into the bias.

    Args:
        model: The FP32 graph.
        layers: By the name of the Gemm's output. Those that read the same activation have the same scheme.
    """
    rewriter = _Rewriter(onnx.ModelProto.FromString(model.SerializeToString()))
    prepared: dict[str, tuple[str, str]] = {}
    for node in list(rewriter.graph.node):
        layer = layers.get(node.output[0]) if node.output else None
        if layer is None:
            rewriter.nodes.append(node)
            continue
        source = node.input[0]
        if source not in prepared:
            prepared[source] = rewriter.add_quantization(source, layer.scheme)
        rewriter.add_product(node, layer, *prepared[source])
    return rewriter.finish()


class _Rewriter:
    """Builds the new node list; names are made from the tensors that they stand for."""

    def __init__(self, model: Any) -> None:
        self.model, self.graph = model, model.graph
        self.nodes: list[Any] = []
        self._used: set[str] = set()

    def add_quantization(self, source: str, scheme: Scheme) -> tuple[str, str]:
        """Add ``source`` as uint8; return its name and, in the row scheme, that of the rows' scales."""
        smooth = source
        if scheme.smoothing_K is not None:
            smooth = self._node("Mul", source, self._constant(f"{source}_unsmooth", 1.0 / scheme.smoothing_K))
        if scheme.scale is not None:
            scale = self._constant(f"{source}_scale", np.float32(scheme.scale))
            zero = self._constant(f"{source}_zero", np.uint8(np.clip(np.rint(scheme.shift / scheme.scale), 0, 255)))
            return self._node("QuantizeLinear", smooth, scale, zero), ""
        shifted = self._node("Add", smooth, self._constant(f"{source}_shift", np.float32(scheme.shift)))
        largest = self._node("ReduceMax", shifted, self._constant("last_axis", np.array([-1], np.int64)), keepdims=1)
        bounded = self._node("Max", largest, self._constant("smallest_scale", np.float32(1e-6)))
        scales = self._node("Div", bounded, self._constant("levels", np.float32(255.0)))
        unit = self._node("Div", shifted, scales)
        one, zero = self._constant("unit_scale", np.float32(1.0)), self._constant("no_zero", np.uint8(0))
        return self._node("QuantizeLinear", unit, one, zero), scales

    def add_product(self, gemm: Any, layer: Int8Linear, quantized: str, row_scales: str) -> None:
        """Add the INT8 product that stands for ``gemm``, under the name of its output."""
        source, output, scheme = gemm.input[0], gemm.output[0], layer.scheme
        weights = self._constant(f"{output}_int8", layer.weights_KX)
        scales = self._constant(f"{output}_scales", layer.scales_X)
        if scheme.scale is None:
            one, no_zero = self._constant("unit_scale", np.float32(1.0)), self._constant("no_zero", np.uint8(0))
            product = self._node(
                "MatMulIntegerToFloat",
                quantized,
                weights,
                one,
                scales,
                no_zero,
                domain=ORT_DOMAIN,
                output=f"{output}_unscaled",
            )
            scaled = self._node("Mul", product, row_scales, output=f"{output}_scaled")
            shifted_X = layer.bias_X - scheme.shift * (layer.weights_KX.astype(np.float32) * layer.scales_X).sum(axis=0)
            self._node("Add", scaled, self._constant(f"{output}_bias", shifted_X.astype(np.float32)), output=output)
            return
        bias = self._constant(f"{output}_bias", layer.bias_X)
        operands = [quantized, weights, f"{source}_scale", scales, f"{source}_zero", "", bias]
        if not len(scheme.outliers):
            self._node("MatMulIntegerToFloat", *operands, domain=ORT_DOMAIN, output=output)
            return
        product = self._node("MatMulIntegerToFloat", *operands, domain=ORT_DOMAIN, output=f"{output}_inliers")
        channels = self._constant(f"{source}_outliers", scheme.outliers)
        outliers = f"{source}_outlying"
        if outliers not in self._used:
            self._used.add(outliers)
            self._node("Gather", source, channels, axis=1, output=outliers)
        kept = self._constant(f"{output}_outlier_weights", layer.outlier_weights_NX)
        self._node("Gemm", outliers, kept, product, output=output)

    def finish(self) -> Any:
        """Put the nodes into the model and drop the weights that nothing reads any more."""
        del self.graph.node[:]
        self.graph.node.extend(self.nodes)
        read = {name for node in self.nodes for name in node.input} | {value.name for value in self.graph.output}
        kept = [entry for entry in self.graph.initializer if entry.name in read]
        del self.graph.initializer[:]
        self.graph.initializer.extend(kept)
        if all(entry.domain != ORT_DOMAIN for entry in self.model.opset_import):
            self.model.opset_import.append(helper.make_opsetid(ORT_DOMAIN, 1))
        return self.model

    def _constant(self, name: str, value: Any) -> str:
        if name not in self._used:
            self._used.add(name)
            self.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def _node(self, kind: str, *inputs: str, domain: str = "", output: str = "", **attributes: Any) -> str:
        name = output or f"{inputs[0]}_{kind}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], domain=domain, **attributes))
        return name
