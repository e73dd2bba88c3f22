"""The graphs of the sequence encoders: transformer, GRU and LSTM, each giving the state of the newest event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from model_export.errors import ExportError
from model_export.onnx_export.history_graph import (
    History,
    PairBuckets,
    absorbed_query,
    absorbed_values,
    biases_of_all_pairs,
    fused_gelu,
    newest_attention,
    newest_position_bias,
    newest_time_bias,
    self_attention,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from model_export.onnx_export.ranker_parts import Parts

_LAST: Final = "encoder.last_block"
_GATES: Final = {"gru": ("GRU", (1, 0, 2)), "lstm": ("LSTM", (0, 3, 1, 2))}
"""ONNX operator, and the positions in PyTorch's order of gates that ONNX wants one after the other."""


def states_of_newest(parts: Parts, history: History, encoder: str, blocks: int) -> tuple[str, str]:
    """Return ``float32[B, E]`` twice: the short-term state and the long-term state of the newest event.

    Raises:
        ExportError: If there is no graph for ``encoder``.
    """
    of_long_term = parts.weights["long_term.bias.of_position"]
    if encoder == "transformer":
        of_encoder = parts.weights["encoder.bias.of_position"][:, -parts.heads :]
        newest_bias, long_term_bias = newest_position_bias(parts, history, [of_encoder, of_long_term])
        short = _transformer(parts, history, newest_bias, blocks)
    elif encoder in _GATES:
        (long_term_bias,) = newest_position_bias(parts, history, [of_long_term])
        short = _recurrent(parts, history, encoder, blocks)
    else:
        raise ExportError(f"there is no graph for the sequence encoder {encoder!r}")
    return short, _long_term(parts, history, long_term_bias)


def _transformer(parts: Parts, history: History, newest_bias: str, blocks: int) -> str:
    dtype, weights = parts.event_dtype, parts.weights
    use_time = "encoder.bias.of_time" in weights
    buckets = PairBuckets(parts, history, every_pair=blocks > 1) if use_time else None
    biases = biases_of_all_pairs(parts, history, buckets, blocks) if blocks > 1 else []
    residual = history.inputs_BLE
    first = "encoder.blocks.0" if blocks > 1 else _LAST
    normed = parts.layer_norm(residual, f"{first}.norm_attention", dtype)
    for block, bias in enumerate(biases):
        name = f"encoder.blocks.{block}"
        following = f"encoder.blocks.{block + 1}" if block + 2 < blocks else _LAST
        read, read_bias = self_attention(parts, normed, bias, f"{name}.attention")
        normed, residual = parts.add_and_norm(read, residual, read_bias, f"{name}.norm_network", dtype)
        expand, expand_bias = weights.linear(f"{name}.expand")
        contract, contract_bias = weights.linear(f"{name}.contract")
        hidden = parts.graph.node("MatMul", normed, parts.event_weight(expand, f"{name}.expand"), name=f"{name}.expand")
        hidden = fused_gelu(parts, hidden, expand_bias)
        change = parts.graph.node(
            "MatMul", hidden, parts.event_weight(contract, f"{name}.contract"), name=f"{name}.contract"
        )
        normed, residual = parts.add_and_norm(change, residual, contract_bias, f"{following}.norm_attention", dtype)
    if buckets is not None:
        of_time = newest_time_bias(parts, buckets, weights["encoder.bias.of_time"][:, -parts.heads :])
        newest_bias = parts.graph.node("Add", of_time, newest_bias)
    return _last_block(parts, history, normed, residual, newest_bias)


def _last_block(parts: Parts, history: History, normed_BLE: str, residual_BLE: str, bias_B1XL: str) -> str:
    """The last block for the newest event alone; beyond the attention everything is float32 of one row a request."""
    graph, weights, heads = parts.graph, parts.weights, parts.heads
    query_weight, query_bias = weights.linear(f"{_LAST}.attention.query")
    key_weight, _ = weights.linear(f"{_LAST}.attention.key")
    value_weight, value_bias = weights.linear(f"{_LAST}.attention.value")
    output_weight, output_bias = weights.linear(f"{_LAST}.attention.output")
    width = len(query_bias)
    newest_BE = graph.node("GatherND", normed_BLE, history.last_B1, batch_dims=1)
    query = graph.node(
        "Gemm",
        newest_BE,
        parts.event_weight(absorbed_query(query_weight, key_weight, heads), f"{_LAST}.query"),
        parts.event_weight(absorbed_query(query_bias, key_weight, heads), f"{_LAST}.query"),
    )
    query_BXE = graph.node("Reshape", query, graph.integers(0, heads, width))
    read = newest_attention(
        parts, query_BXE, normed_BLE, normed_BLE, bias_B1XL, head_width=width // heads, name=f"{_LAST}.attention"
    )
    read = parts.request_gemm(
        read,
        absorbed_values(value_weight, output_weight, heads),
        output_bias + value_bias @ output_weight,
        f"{_LAST}.output",
    )
    residual_BE = parts.to_float32(graph.node("GatherND", residual_BLE, history.last_B1, batch_dims=1))
    residual_BE = graph.node("Add", read, residual_BE)
    normed_BE = parts.layer_norm(residual_BE, f"{_LAST}.norm_network", np.float32)
    hidden = graph.node("Gelu", parts.request_linear(normed_BE, f"{_LAST}.expand"))
    change = parts.request_linear(hidden, f"{_LAST}.contract")
    return parts.layer_norm(graph.node("Add", change, residual_BE), "encoder.norm", np.float32)


def _long_term(parts: Parts, history: History, bias_B1XL: str) -> str:
    graph, weights, heads = parts.graph, parts.weights, parts.heads
    key_weight, _ = weights.linear("long_term.key")
    value_weight, value_bias = weights.linear("long_term.value")
    width = key_weight.shape[1]
    query = absorbed_query(weights["long_term.query"][0], key_weight, heads).reshape(1, heads, key_weight.shape[0])
    batch = graph.node("Concat", graph.node("Shape", history.last_B1, end=1), graph.integers(1, 1), axis=0)
    query_BXE = graph.node("Expand", parts.event_weight(query, "long_term.query"), batch)
    read = newest_attention(
        parts,
        query_BXE,
        history.inputs_BLE,
        history.vectors_BLD,
        bias_B1XL,
        head_width=width // heads,
        name="long_term",
    )
    return parts.request_gemm(read, absorbed_values(value_weight, np.eye(width), heads), value_bias, "long_term.value")


def _recurrent(parts: Parts, history: History, encoder: str, blocks: int) -> str:
    """Layers of the standard operator, which stops at each history's own length and so ends in its newest state."""
    graph = parts.graph
    operator, order = _GATES[encoder]
    lengths = graph.node("Squeeze", history.last_B1, graph.integers(1))
    lengths = graph.node("Cast", graph.node("Add", lengths, graph.number(1, np.int64)), to=6)
    state = graph.node("Transpose", history.inputs_BLE, perm=[1, 0, 2])
    extra: dict[str, Any] = {"linear_before_reset": 1} if encoder == "gru" else {}
    for layer in range(blocks):
        weight, recurrence, bias = _gates(parts, layer, order)
        every, newest = graph.nodes(
            operator, state, parts.event_weight(weight, "gates"), parts.event_weight(recurrence, "gates"),
            parts.event_weight(bias, "gates"), lengths, outputs=2, hidden_size=recurrence.shape[-1],
            name=f"encoder.layers.{layer}", **extra,
        )  # fmt: skip
        state = graph.node("Squeeze", every, graph.integers(1)) if layer + 1 < blocks else newest
    newest_BE = parts.to_float32(graph.node("Squeeze", state, graph.integers(0)))
    return parts.layer_norm(newest_BE, "encoder.norm", np.float32)


def _gates(parts: Parts, layer: int, order: tuple[int, ...]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return weight, recurrence and bias of a layer with the gates in ONNX's order, one direction."""

    def ordered(name: str) -> NDArray[Any]:
        gates = np.split(parts.weights[f"encoder.layers.{name}_l{layer}"], len(order), axis=0)
        return np.concatenate([gates[position] for position in order], axis=0)

    bias = np.concatenate([ordered("bias_ih"), ordered("bias_hh")])
    return ordered("weight_ih")[None], ordered("weight_hh")[None], bias[None]
