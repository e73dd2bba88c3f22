"""INT8 for the linear layers of an exported encoder graph, each with the scheme that its own activations ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from app.contract.tensors import ATTENTION_MASK, INPUT_IDS, Float32Array
from model_export.modeling.text_tokens import length_buckets
from model_export.onnx_export.encoder_packing import ENCODER_LINEAR_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from model_export.modeling.text_tokens import TextTokens

_MS: Final = "com.microsoft"
_SMOOTHING: Final = (0.0, 0.5, 0.75, 0.9)
_ROW_MUST_GAIN: Final = 2.5
"""A scale for every row costs three passes over the activations: it has to lower the squared error this much."""
AIMED_COSINE: Final = 0.99
_ROWS_KEPT: Final = 512
_TOKENS_PER_RUN: Final = 2048


@dataclass(frozen=True, slots=True)
class LinearGroup:
    """The linear layers that read one activation (query, key and value, for example).

    Attributes:
        source: Name of the activation.
        names: Names of the Gemm nodes, by their outputs.
        weights_KX: float32[K, sum of outputs], side by side.
    """

    source: str
    names: tuple[str, ...]
    weights_KX: Float32Array


@dataclass(frozen=True, slots=True)
class Scheme:
    """How one activation becomes eight bits.

    ``uint8 = round((x / smoothing + shift) / scale)``, where ``scale`` is fixed (*static*) or that of the row's largest
    value (*row*, ``scale`` is None). Dividing each channel by ``smoothing`` and multiplying the weights by it moves the
    difficulty of channels with outliers into the weights (SmoothQuant, Xiao et al. 2023). No scheme looks at other
    rows, so a text's vector does not depend on the texts beside it.

    Attributes:
        smoothing_K: float32[K], or None for ones.
        shift: Added before rounding, so that nothing is negative.
        scale: Of the static scheme, else None.
        error: Squared error of the layers' outputs relative to their square, mean over the calibration rows: a layer
            norm follows, so an error counts against its own row, however large other rows are.
    """

    smoothing_K: Float32Array | None
    shift: float
    scale: float | None
    error: float


def linear_groups(model: Any) -> list[LinearGroup]:
    """Return the encoder's linear layers, grouped by the activation that they read, in graph order."""
    from onnx import numpy_helper

    weights = {entry.name: entry for entry in model.graph.initializer if entry.name.endswith(ENCODER_LINEAR_SUFFIX)}
    grouped: dict[str, list[Any]] = {}
    for node in model.graph.node:
        if node.op_type == "Gemm" and node.input[1] in weights:
            grouped.setdefault(node.input[0], []).append(node)
    return [
        LinearGroup(
            source,
            tuple(node.output[0] for node in nodes),
            np.concatenate([numpy_helper.to_array(weights[node.input[1]]).T for node in nodes], axis=1),
        )
        for source, nodes in grouped.items()
    ]


def calibration_rows(path: Path, groups: list[LinearGroup], tokens: TextTokens) -> dict[str, Float32Array]:
    """Return about 512 rows of every activation, ``{name: float32[rows, K]}``, from running the FP32 graph."""
    import onnx
    import onnxruntime

    model = onnx.load(path)
    known = {value.name for value in model.graph.output}
    sources = list(dict.fromkeys(group.source for group in groups))
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sources if name not in known)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    share = min(1.0, _ROWS_KEPT / max(int(tokens.lengths.sum()), 1))
    random = np.random.default_rng(0)
    kept: dict[str, list[Float32Array]] = {name: [] for name in sources}
    for positions in length_buckets(tokens.lengths, tokens_per_batch=_TOKENS_PER_RUN):
        input_ids, attention_mask = tokens.batch(positions)
        activations = session.run(sources, {INPUT_IDS: input_ids, ATTENTION_MASK: attention_mask})
        chosen = random.random(len(activations[0])) < share
        for name, rows in zip(sources, activations, strict=True):
            kept[name].append(rows[chosen[: len(rows)]])
    return {name: np.concatenate(blocks) for name, blocks in kept.items()}


def quantize_weights(weights_KX: Float32Array) -> tuple[NDArray[np.int8], Float32Array]:
    """Return symmetric int8 weights and their scales, one per output."""
    scales_X = np.maximum(np.abs(weights_KX).max(axis=0), 1e-12) / 127.0
    return np.clip(np.rint(weights_KX / scales_X), -127, 127).astype(np.int8), scales_X.astype(np.float32)


def choose_scheme(rows_RK: Float32Array, weights_KX: Float32Array) -> Scheme:
    """Return the scheme with the least error on these rows; *static* unless *row* gains enough for its cost."""
    exact_RX = rows_RK @ weights_KX
    energy_R = np.maximum(np.square(exact_RX).mean(axis=1), 1e-12)
    best: dict[bool, Scheme] = {}
    for strength in _SMOOTHING:
        smoothing_K = _smoothing(rows_RK, weights_KX, strength) if strength else None
        smooth_RK = rows_RK if smoothing_K is None else rows_RK / smoothing_K
        weights, scales = quantize_weights(weights_KX if smoothing_K is None else weights_KX * smoothing_K[:, None])
        shift = max(-float(smooth_RK.min()), 0.0)
        static_scale = max((float(smooth_RK.max()) + shift) / 255.0, 1e-12)
        for scale in (static_scale, None):
            rounded_RK = _rounded(smooth_RK, shift, scale)
            error_R = np.square(rounded_RK @ (weights * scales) - exact_RX).mean(axis=1)
            error = float((error_R / energy_R).mean())
            static = scale is not None
            if static not in best or error < best[static].error:
                best[static] = Scheme(smoothing_K, shift, scale, error)
    return best[False] if best[True].error > _ROW_MUST_GAIN * best[False].error else best[True]


def _rounded(rows_RK: Float32Array, shift: float, scale: float | None) -> Float32Array:
    scales_R1 = scale if scale is not None else np.maximum(rows_RK.max(axis=1, keepdims=True) + shift, 1e-6) / 255.0
    return np.asarray(np.clip(np.rint((rows_RK + shift) / scales_R1), 0, 255) * scales_R1 - shift, np.float32)


def _smoothing(rows_RK: Float32Array, weights_KX: Float32Array, strength: float) -> Float32Array:
    activation_K = np.maximum(np.abs(rows_RK).max(axis=0), 1e-5)
    weight_K = np.maximum(np.abs(weights_KX).max(axis=1), 1e-5)
    smoothing_K = activation_K**strength / weight_K ** (1.0 - strength)
    return np.asarray(smoothing_K / smoothing_K.mean(), np.float32)


def quantized_model(model: Any, groups: list[LinearGroup], schemes: dict[str, Scheme]) -> Any:
    """Return a copy of the graph whose Gemm nodes compute in INT8, for the groups that have a scheme.

    Every such Gemm becomes ``MatMulIntegerToFloat``: uint8 activations (quantised once a group), int8 weights with a
    scale for each output, float32 out. Shift and zero points are folded into the bias.
    """
    import onnx

    rewriter = _Rewriter(onnx.ModelProto.FromString(model.SerializeToString()))
    by_output = {name: group for group in groups if group.source in schemes for name in group.names}
    prepared: dict[str, tuple[str, str]] = {}
    for node in list(rewriter.graph.node):
        group = by_output.get(node.output[0]) if node.output else None
        if group is None:
            rewriter.nodes.append(node)
            continue
        scheme = schemes[group.source]
        if group.source not in prepared:
            prepared[group.source] = rewriter.add_quantization(group.source, scheme)
        rewriter.add_product(node, scheme, *prepared[group.source])
    return rewriter.finish()


def quantize_graph(source: Path, target: Path, tokens: TextTokens, measure: Callable[[Path], float]) -> list[str]:
    """Write an INT8 copy of an FP32 encoder graph; return the activations whose layers stayed in FP32.

    Layers are left out worst error first, one at a time, while the measured cosine is below `AIMED_COSINE`, at most a
    quarter of them: speed is what INT8 is for.

    Args:
        source: The FP32 graph.
        target: The file to write.
        tokens: Calibration texts.
        measure: Returns the least cosine of the vectors of a graph file with the FP32 ones.
    """
    import onnx

    model = onnx.load(source)
    groups = linear_groups(model)
    rows = calibration_rows(source, groups, tokens)
    schemes = {group.source: choose_scheme(rows[group.source], group.weights_KX) for group in groups}
    left_out: list[str] = []
    while True:
        onnx.save(quantized_model(model, groups, schemes), target)
        if not schemes or len(left_out) >= len(groups) // 4 or measure(target) >= AIMED_COSINE:
            return left_out
        worst = max(schemes, key=lambda name: schemes[name].error)
        left_out.append(worst)
        del schemes[worst]


class _Rewriter:
    """Builds the new node list; names are made from the tensors that they stand for."""

    def __init__(self, model: Any) -> None:
        from onnx import numpy_helper

        self.model, self.graph = model, model.graph
        self.nodes: list[Any] = []
        self._arrays = {entry.name: numpy_helper.to_array(entry) for entry in model.graph.initializer}
        self._used: set[str] = set()

    def add_quantization(self, source: str, scheme: Scheme) -> tuple[str, str]:
        """Add ``source`` as uint8; return its name and, in the row scheme, that of the rows' scales."""
        smooth = source
        if scheme.smoothing_K is not None:
            smooth = self._node("Mul", source, self._constant(f"{source}_unsmooth", 1.0 / scheme.smoothing_K))
        if scheme.scale is not None:
            zero_point = int(np.clip(np.rint(scheme.shift / scheme.scale), 0, 255))
            scale = self._constant(f"{source}_scale", np.float32(scheme.scale))
            return self._node(
                "QuantizeLinear", smooth, scale, self._constant(f"{source}_zero", np.uint8(zero_point))
            ), ""
        shifted = self._node("Add", smooth, self._constant(f"{source}_shift", np.float32(scheme.shift)))
        largest = self._node("ReduceMax", shifted, self._constant("last_axis", np.array([-1], np.int64)), keepdims=1)
        bounded = self._node("Max", largest, self._constant("smallest_scale", np.float32(1e-6)))
        scales = self._node("Div", bounded, self._constant("levels", np.float32(255.0)))
        unit = self._node("Div", shifted, scales)
        one, zero = self._constant("unit_scale", np.float32(1.0)), self._constant("no_zero", np.uint8(0))
        return self._node("QuantizeLinear", unit, one, zero), scales

    def add_product(self, gemm: Any, scheme: Scheme, quantized: str, row_scales: str) -> None:
        """Add the INT8 product that stands for ``gemm``, under the name of its output."""
        output = gemm.output[0]
        weights_KX = self._arrays[gemm.input[1]].T
        if scheme.smoothing_K is not None:
            weights_KX = weights_KX * scheme.smoothing_K[:, None]
        weights, scales_X = quantize_weights(weights_KX)
        bias_X = self._arrays[gemm.input[2]] if len(gemm.input) > 2 else np.zeros(len(scales_X), np.float32)  # noqa: PLR2004
        names = [self._constant(f"{output}_int8", weights), self._constant(f"{output}_scales", scales_X)]
        if scheme.scale is not None:
            activation = [self._constant(f"{gemm.input[0]}_scale", np.float32(scheme.scale))]
            zero = f"{gemm.input[0]}_zero"
            bias = self._constant(f"{output}_bias", bias_X)
            operands = [quantized, names[0], *activation, names[1], zero, "", bias]
            self._node("MatMulIntegerToFloat", *operands, domain=_MS, output=output)
            return
        one, no_zero = self._constant("unit_scale", np.float32(1.0)), self._constant("no_zero", np.uint8(0))
        product = self._node(
            "MatMulIntegerToFloat", quantized, names[0], one, names[1], no_zero, domain=_MS, output=f"{output}_unscaled"
        )
        scaled = self._node("Mul", product, row_scales, output=f"{output}_scaled")
        shifted_X = bias_X - scheme.shift * (weights.astype(np.float32) * scales_X).sum(axis=0)
        self._node("Add", scaled, self._constant(f"{output}_bias", shifted_X.astype(np.float32)), output=output)

    def finish(self) -> Any:
        """Put the nodes into the model and drop the weights that nothing reads any more."""
        from onnx import helper

        del self.graph.node[:]
        self.graph.node.extend(self.nodes)
        read = {name for node in self.nodes for name in node.input} | {value.name for value in self.graph.output}
        kept = [entry for entry in self.graph.initializer if entry.name in read]
        del self.graph.initializer[:]
        self.graph.initializer.extend(kept)
        if all(entry.domain != _MS for entry in self.model.opset_import):
            self.model.opset_import.append(helper.make_opsetid(_MS, 1))
        return self.model

    def _constant(self, name: str, value: Any) -> str:
        from onnx import numpy_helper

        if name not in self._used:
            self._used.add(name)
            self.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def _node(self, kind: str, *inputs: str, domain: str = "", output: str = "", **attributes: Any) -> str:
        from onnx import helper

        name = output or f"{inputs[0]}_{kind}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], domain=domain, **attributes))
        return name
