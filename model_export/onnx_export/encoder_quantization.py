"""INT8 for the linear layers of an exported encoder graph, each with the scheme that its own activations ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
import onnxruntime as ort
from onnx import numpy_helper

from app.contract.tensors import ATTENTION_MASK, INPUT_IDS, Float32Array
from model_export.modeling.text_tokens import length_buckets
from model_export.onnx_export.activation_schemes import Scheme, choose_scheme
from model_export.onnx_export.encoder_packing import ENCODER_LINEAR_SUFFIX
from model_export.onnx_export.int8_graph import Int8Linear, int8_model
from model_export.onnx_export.weight_rounding import compensated_weights, weight_scales

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from model_export.modeling.text_tokens import TextTokens

AIMED_COSINE: Final = 0.99
_ROWS_KEPT: Final = 4096
_TOKENS_PER_RUN: Final = 2048


@dataclass(frozen=True, slots=True)
class LinearGroup:
    """The linear layers that read one activation (query, key and value, for example).

    Attributes:
        source: Name of the activation.
        names: Of the Gemm nodes' outputs.
        weights: float32[K, X] of each.
        biases: float32[X] of each.
    """

    source: str
    names: tuple[str, ...]
    weights: tuple[Float32Array, ...]
    biases: tuple[Float32Array, ...]


def linear_groups(model: Any) -> list[LinearGroup]:
    """Return the encoder's linear layers, grouped by the activation that they read, in graph order."""
    constants = {entry.name: entry for entry in model.graph.initializer}
    grouped: dict[str, list[Any]] = {}
    for node in model.graph.node:
        weight = node.input[1] if node.op_type == "Gemm" else ""
        if weight in constants and weight.endswith(ENCODER_LINEAR_SUFFIX):
            grouped.setdefault(node.input[0], []).append(node)
    groups = []
    for source, nodes in grouped.items():
        weights = [numpy_helper.to_array(constants[node.input[1]]).T for node in nodes]
        biases = [
            numpy_helper.to_array(constants[node.input[2]]) if len(node.input) > 2 else np.zeros(weight.shape[1], "f")  # noqa: PLR2004
            for node, weight in zip(nodes, weights, strict=True)
        ]
        groups.append(LinearGroup(source, tuple(node.output[0] for node in nodes), tuple(weights), tuple(biases)))
    return groups


def calibration_rows(path: Path, groups: list[LinearGroup], tokens: TextTokens) -> dict[str, Float32Array]:
    """Return about 4,096 rows of every activation, ``{name: float32[rows, K]}``, from running the FP32 graph.

    They are in random order, so that the first of them are a sample of them all.
    """
    model = onnx.load(path)
    known = {value.name for value in model.graph.output}
    sources = list(dict.fromkeys(group.source for group in groups))
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sources if name not in known)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    share = min(1.0, _ROWS_KEPT / max(int(tokens.lengths.sum()), 1))
    random = np.random.default_rng(0)
    kept: dict[str, list[Float32Array]] = {name: [] for name in sources}
    for positions in length_buckets(tokens.lengths, tokens_per_batch=_TOKENS_PER_RUN):
        input_ids, attention_mask = tokens.batch(positions)
        activations = session.run(sources, {INPUT_IDS: input_ids, ATTENTION_MASK: attention_mask})
        chosen = random.random(len(activations[0])) < share
        for name, rows in zip(sources, activations, strict=True):
            kept[name].append(rows[chosen[: len(rows)]])
    shuffled = random.permutation(sum(len(block) for block in kept[sources[0]])) if sources else None
    return {name: np.concatenate(blocks)[shuffled] for name, blocks in kept.items()}


def rounded_layer(weights_KX: Float32Array, bias_X: Float32Array, scheme: Scheme, rows_RK: Float32Array) -> Int8Linear:
    """Return one linear layer in eight bits, its weights and bias fitted to how its input is rounded."""
    smooth_KX = scheme.weights(weights_KX)
    scales_X = weight_scales(smooth_KX)
    rounded_RK = scheme.rounded(rows_RK)
    weights = compensated_weights(smooth_KX, scales_X, rounded_RK)
    outlier_weights_NX = weights_KX[scheme.outliers]
    lost_X = (rows_RK @ weights_KX - rounded_RK @ (weights * scales_X)).mean(axis=0)
    lost_X -= rows_RK[:, scheme.outliers].mean(axis=0) @ outlier_weights_NX
    return Int8Linear(scheme, weights, scales_X, np.asarray(bias_X + lost_X, np.float32), outlier_weights_NX)


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
    model = onnx.load(source)
    groups = linear_groups(model)
    rows = calibration_rows(source, groups, tokens)
    schemes: dict[str, Scheme] = {}
    layers: dict[str, Int8Linear] = {}
    for group in groups:
        rows_RK = rows.pop(group.source)
        scheme = choose_scheme(rows_RK, np.concatenate(group.weights, axis=1))
        schemes[group.source] = scheme
        for name, weights_KX, bias_X in zip(group.names, group.weights, group.biases, strict=True):
            layers[name] = rounded_layer(weights_KX, bias_X, scheme, rows_RK)
    names = {group.source: group.names for group in groups}
    left_out: list[str] = []
    while True:
        onnx.save(int8_model(model, layers), target)
        if not layers or len(left_out) >= len(groups) // 4 or measure(target) >= AIMED_COSINE:
            return left_out
        worst = max(schemes, key=lambda name: schemes[name].error)
        left_out.append(worst)
        del schemes[worst]
        for name in names[worst]:
            del layers[name]
