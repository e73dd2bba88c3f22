"""The graph of one history: from rows, actions and ages to what attention reads, in as few nodes as possible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from app.contract import tensors
from model_export.onnx_export.graph_builder import ORT_DOMAIN
from model_export.onnx_export.ranker_parts import Parts, position_bias, time_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class History:
    """Tensors of the start token and the events, all by name.

    Attributes:
        vectors_BLD: Item vectors, zeros for the start token and the padding.
        inputs_BLE: Normalised inputs of the sequence encoder.
        age_BL: float32 seconds.
        last_B1: int64, the position of the newest event, 0 for an empty history.
        length_1: int64, L.
    """

    vectors_BLD: str
    inputs_BLE: str
    age_BL: str
    last_B1: str
    length_1: str


def read_history(parts: Parts) -> History:
    """Gather and add up the inputs.

    The start token is laid out as an event of row 0 with an action of its own, so no vectors have to be concatenated:
    its item vector is zeros, and the extra row of the action table holds its learned vector. Whole numbers are put in
    front by ``Concat``: ONNX Runtime's CUDA provider has no ``Pad`` for them and would wait for the CPU in every run.
    """
    graph, weights = parts.graph, parts.weights
    last_B1 = graph.node("ReduceSum", graph.node("Sign", tensors.HISTORY_ROWS), graph.integers(1), keepdims=1)
    zero_B1 = graph.node("Sub", last_B1, last_B1)
    item_weight, item_bias = weights.linear("item_input")
    actions = weights["action_input"]
    start = weights["start"]
    rows_BL = graph.node("Concat", zero_B1, tensors.HISTORY_ROWS, axis=1)
    start_action_B1 = graph.node("Add", zero_B1, graph.number(len(actions), np.int64))
    actions_BL = graph.node("Concat", start_action_B1, tensors.HISTORY_ACTIONS, axis=1)
    age_BL = graph.node("Pad", tensors.HISTORY_AGE_S, graph.integers(0, 1, 0, 0), mode="edge")
    vectors_BLD = graph.node("Gather", tensors.ITEM_TABLE, rows_BL)
    projected = graph.node("MatMul", vectors_BLD, parts.event_weight(item_weight, "item_input"), name="item_input")
    if "gap_input" in weights:
        gaps = weights["gap_input"]
        start = start - gaps[0]  # its own gap is 0 seconds
        until_next = graph.node("Sub", age_BL, graph.node("Pad", age_BL, graph.integers(0, -1, 0, 1)))
        table = parts.event_weight(time_rows(gaps), "gap_input")
        projected = graph.node("Add", projected, graph.node("Gather", table, parts.bucket_of_seconds(until_next)))
    table = parts.event_weight(np.concatenate([actions + item_bias, start[None]]), "action_input")
    summed = graph.node("Add", projected, graph.node("Gather", table, actions_BL))
    return History(
        vectors_BLD=vectors_BLD,
        inputs_BLE=parts.layer_norm(summed, "input_norm", parts.event_dtype),
        age_BL=age_BL,
        last_B1=last_B1,
        length_1=graph.node("Shape", age_BL, start=1),
    )


class PairBuckets:
    """Time buckets of pairs of positions, computed once for all layers that ask.

    Args:
        parts: Where to write.
        history: Whose ages to compare.
        every_pair: Whether some layer needs all pairs, and not only those of the newest event.
    """

    def __init__(self, parts: Parts, history: History, *, every_pair: bool) -> None:
        graph = parts.graph
        last_B11 = graph.node("Unsqueeze", history.last_B1, graph.integers(2))
        keys_B1L = graph.node("Unsqueeze", history.age_BL, graph.integers(1))
        if every_pair:
            queries_BL1 = graph.node("Unsqueeze", history.age_BL, graph.integers(2))
            scale_BLL = parts.scale_of_seconds(graph.node("Sub", keys_B1L, queries_BL1))
            self.of_all_BLL = parts.whole(scale_BLL)
            # gathered before it is whole: ONNX Runtime's CUDA provider has no GatherND of int32
            self.of_last_B1L = parts.whole(graph.node("GatherND", scale_BLL, last_B11, batch_dims=1))
        else:
            last_age_B1 = graph.node("GatherND", history.age_BL, last_B11, batch_dims=1)
            last_age_B11 = graph.node("Unsqueeze", last_age_B1, graph.integers(2))
            self.of_last_B1L = parts.bucket_of_seconds(graph.node("Sub", keys_B1L, last_age_B11))


def biases_of_all_pairs(parts: Parts, history: History, buckets: PairBuckets | None, blocks: int) -> list[str]:
    """Return the attention biases ``[B or 1, X, L, L]`` of the blocks below the last, causal; looked up together."""
    graph = parts.graph
    heads = slice(0, (blocks - 1) * parts.heads)
    table = position_bias(parts.weights["encoder.bias.of_position"][:, heads], parts.positions)[None]
    both = graph.node("Concat", history.length_1, history.length_1, axis=0)
    bias = graph.node(
        "Slice", parts.event_weight(table, "bias.of_position"), graph.integers(0, 0), both, graph.integers(2, 3)
    )
    if buckets is not None:
        rows = parts.event_weight(time_rows(parts.weights["encoder.bias.of_time"][:, heads]), "bias.of_time")
        of_time_BLLX = graph.node("Gather", rows, buckets.of_all_BLL)
        bias = graph.node("Add", graph.node("Transpose", of_time_BLLX, perm=[0, 3, 1, 2]), bias)
    if blocks == 2:  # noqa: PLR2004 -- one block below the last
        return [bias]
    return graph.nodes("Split", bias, outputs=blocks - 1, axis=1, num_outputs=blocks - 1)


def newest_position_bias(parts: Parts, history: History, tables: list[NDArray[Any]]) -> list[str]:
    """Return ``[B, 1, X, L]``, the bias of the newest event with every position by distance, for each table."""
    graph = parts.graph
    by_query = np.concatenate([position_bias(table, parts.positions) for table in tables]).transpose(1, 0, 2)
    padded = graph.node("Gather", parts.event_weight(by_query, "newest.of_position"), history.last_B1)
    bias = graph.node("Slice", padded, graph.integers(0), history.length_1, graph.integers(3))
    if len(tables) == 1:
        return [bias]
    return graph.nodes("Split", bias, outputs=len(tables), axis=2, num_outputs=len(tables))


def newest_time_bias(parts: Parts, buckets: PairBuckets, table: NDArray[Any]) -> str:
    """Return ``[B, 1, X, L]``, the bias of the newest event with every position by the seconds between them."""
    rows = parts.event_weight(time_rows(table), "newest.of_time")
    return parts.graph.node("Transpose", parts.graph.node("Gather", rows, buckets.of_last_B1L), perm=[0, 1, 3, 2])


def self_attention(parts: Parts, normed_BLE: str, bias: str, name: str) -> tuple[str, NDArray[Any]]:
    """Return the attention of every position before its output bias, and that bias.

    The key's bias shifts all logits of a query alike, so softmax does not see it; the value's bias passes through
    softmax unchanged and joins the output's.
    """
    graph, weights = parts.graph, parts.weights
    query_weight, query_bias = weights.linear(f"{name}.query")
    key_weight, _ = weights.linear(f"{name}.key")
    value_weight, value_bias = weights.linear(f"{name}.value")
    output_weight, output_bias = weights.linear(f"{name}.output")
    scale = (len(query_bias) / parts.heads) ** -0.5
    query = graph.node("MatMul", normed_BLE, parts.event_weight(query_weight, f"{name}.query"), name=f"{name}.query")
    query = graph.node("Add", query, parts.event_weight(query_bias, f"{name}.query"))
    key = graph.node("MatMul", normed_BLE, parts.event_weight(key_weight, f"{name}.key"), name=f"{name}.key")
    value = graph.node("MatMul", normed_BLE, parts.event_weight(value_weight, f"{name}.value"), name=f"{name}.value")
    mixed = graph.node(
        "Attention", query, key, value, bias,
        name=name, q_num_heads=parts.heads, kv_num_heads=parts.heads, scale=scale,
    )  # fmt: skip
    output = graph.node("MatMul", mixed, parts.event_weight(output_weight, f"{name}.output"), name=f"{name}.output")
    return output, output_bias + value_bias @ output_weight


def newest_attention(
    parts: Parts, query_BXE: str, keys_BLE: str, values_BLD: str, bias_B1XL: str, *, head_width: int, name: str
) -> str:
    """Return ``float32[B, X * D]``: what each head of one query reads from raw keys and values.

    A single query needs no projected keys and values: ``q · (W_k x) = (W_k^T q) · x``, and the sum of the values can
    be projected instead of each value. The heads stand side by side as X queries of one wide head. (The same
    associativity as in DeepSeek-V2's multi-head latent attention, arXiv 2405.04434.)
    """
    graph = parts.graph
    mixed_BXD = graph.node(
        "Attention", query_BXE, keys_BLE, values_BLD, bias_B1XL,
        name=name, q_num_heads=1, kv_num_heads=1, scale=head_width**-0.5,
    )  # fmt: skip
    return parts.to_float32(graph.node("Reshape", mixed_BXD, graph.integers(0, -1)))


def absorbed_query(query: NDArray[Any], key_weight: NDArray[Any], heads: int) -> NDArray[Any]:
    """Return ``[..., X * in]``: queries of X heads, ``[..., E]``, moved to the side of the unprojected keys.

    Args:
        query: Weight or bias of the query projection, E last.
        key_weight: ``[in, E]``.
        heads: X.
    """
    parts = zip(np.split(query, heads, axis=-1), np.split(key_weight, heads, axis=1), strict=True)
    return np.concatenate([of_query @ of_key.T for of_query, of_key in parts], axis=-1)


def absorbed_values(value_weight: NDArray[Any], output_weight: NDArray[Any], heads: int) -> NDArray[Any]:
    """Return ``[X * in, out]``: value and output projection of X heads as one matrix.

    Args:
        value_weight: ``[in, E]``.
        output_weight: ``[E, out]``.
        heads: X.
    """
    parts = zip(np.split(value_weight, heads, axis=1), np.split(output_weight, heads, axis=0), strict=True)
    return np.concatenate([of_value @ of_output for of_value, of_output in parts], axis=0)


def fused_gelu(parts: Parts, tensor: str, bias: NDArray[Any]) -> str:
    """Return ``gelu(tensor + bias)`` as one node."""
    return parts.graph.node("BiasGelu", tensor, parts.event_weight(bias, "bias"), domain=ORT_DOMAIN)
