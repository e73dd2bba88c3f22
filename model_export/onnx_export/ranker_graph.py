"""Writes ``ranker.onnx`` and ``retriever.onnx`` of a trained ranker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from app.contract import tensors
from model_export.onnx_export.graph_builder import GraphBuilder
from model_export.onnx_export.history_graph import read_history
from model_export.onnx_export.ranker_parts import Parts
from model_export.onnx_export.repeat_graph import repeat_logits
from model_export.onnx_export.sequence_graph import states_of_newest
from model_export.onnx_export.trained_weights import TrainedWeights

if TYPE_CHECKING:
    import onnx

    from model_export.modeling.ranker import SequenceRanker

_SMALLEST_CHANCE: Final = 1e-6
"""As in `model_export.modeling.ranker.SequenceRanker.score`."""


class _User(NamedTuple):
    """Tensors of the user's state, all float32: ``[B, 1]``, ``[B, K, 1]`` and ``[B, K + O, D]``."""

    log_normaliser_B1: str
    log_shares_BK1: str
    heads_BJD: str


def ranker_model(ranker: SequenceRanker, event_dtype: Any = np.float32) -> onnx.ModelProto:
    """Return the graph of `SequenceRanker.score`.

    It is written from the trained weights instead of traced, with the same mathematics in fewer nodes: at 50 events
    and 100 candidates a run is bound by the number of nodes, not by arithmetic. Constant parts of the attention bias
    are tables, the last block and the long-term reader project neither keys nor values, and attention, LayerNorm and
    GELU are fused operators. The parity test holds it to the module.

    Args:
        ranker: The trained module.
        event_dtype: Of the item table and of everything that is computed once for each event, float32 or float16. What
            is computed once for each request or candidate is float32 always: it costs little, and scores near -10 have
            steps of 0.008 in float16.
    """
    graph, parts = _begin("ranker", ranker, event_dtype)
    shape = ranker.shape
    graph.input(tensors.CANDIDATE_ROWS, np.int64, ("B", "C"))
    if shape.objectives > 1:
        ones = np.ones((1, shape.objectives), np.float32)
        graph.input(tensors.OBJECTIVE_WEIGHTS, np.float32, ("W", shape.objectives), default=ones)
    user = _user(parts, ranker, with_outcomes=shape.objectives > 1)
    candidates_BCD = parts.to_float32(graph.node("Gather", tensors.ITEM_TABLE, tensors.CANDIDATE_ROWS))
    products_BJC = graph.node(
        "MatMul", user.heads_BJD, graph.node("Transpose", candidates_BCD, perm=[0, 2, 1]), name="products"
    )
    outcomes_BOC = ""
    if shape.objectives > 1:
        sizes = graph.integers(shape.interests, shape.objectives)
        products_BJC, outcomes_BOC = graph.nodes("Split", products_BJC, sizes, outputs=2, axis=1)
    logits_BC = _mixed(parts, products_BJC, user.log_shares_BK1, shape.interests)
    scores_BC = graph.node("Sub", logits_BC, user.log_normaliser_B1)
    scores_BC = graph.node("Add", scores_BC, repeat_logits(parts, item_count=len(ranker.items.known) - 1))
    if outcomes_BOC:
        scores_BC = graph.node("Add", scores_BC, _log_weight(parts, outcomes_BOC))
    graph.node("Identity", scores_BC, name=tensors.SCORES)
    graph.output(tensors.SCORES, np.float32, ("B", "C"))
    parts.weights.check_all_used()
    return graph.model()


def retriever_model(ranker: SequenceRanker, event_dtype: Any = np.float32) -> onnx.ModelProto:
    """Return the graph of `SequenceRanker.score_catalog`: the same user side, then one product with the whole table."""
    graph, parts = _begin("retriever", ranker, event_dtype)
    shape = ranker.shape
    user = _user(parts, ranker, with_outcomes=False)
    table = parts.to_float32(tensors.ITEM_TABLE)
    if shape.interests == 1:
        vector_BD = graph.node("Squeeze", user.heads_BJD, graph.integers(1))
        logits_BN = graph.node("Gemm", vector_BD, table, transB=1)
    else:
        products_BKN = graph.node("MatMul", user.heads_BJD, graph.node("Transpose", table, perm=[1, 0]))
        logits_BN = _mixed(parts, products_BKN, user.log_shares_BK1, shape.interests)
    scores_BN = graph.node("Sub", logits_BN, user.log_normaliser_B1)
    # the same row twice in a history gets the same value twice, so duplicates do no harm
    repeat_logit = parts.weights["repeat_logit"]
    lowered = graph.node("GatherElements", scores_BN, tensors.HISTORY_ROWS, axis=1)
    lowered = graph.node("Add", lowered, graph.number(float(repeat_logit)))
    graph.node("ScatterElements", scores_BN, tensors.HISTORY_ROWS, lowered, axis=1, name=tensors.CATALOG_SCORES)
    graph.output(tensors.CATALOG_SCORES, np.float32, ("B", "R"))
    return graph.model()


def _begin(name: str, ranker: SequenceRanker, event_dtype: Any) -> tuple[GraphBuilder, Parts]:
    graph = GraphBuilder(name)
    graph.input(tensors.ITEM_TABLE, event_dtype, ("R", ranker.items.width))
    graph.input(tensors.HISTORY_ROWS, np.int64, ("B", "H"))
    graph.input(tensors.HISTORY_ACTIONS, np.int64, ("B", "H"))
    graph.input(tensors.HISTORY_AGE_S, np.float32, ("B", "H"))
    parts = Parts(
        graph=graph,
        weights=TrainedWeights(ranker),
        event_dtype=np.dtype(event_dtype),
        heads=ranker.shape.encoder_shape.heads,
        positions=ranker.shape.history_length + 1,
    )
    return graph, parts


def _user(parts: Parts, ranker: SequenceRanker, *, with_outcomes: bool) -> _User:
    """Fuse the two states and apply all heads of the read-out as one product."""
    graph, weights, shape = parts.graph, parts.weights, ranker.shape
    history = read_history(parts)
    short, long = states_of_newest(parts, history, shape.encoder, shape.encoder_shape.blocks)
    long = parts.layer_norm(long, "gate.norm", np.float32)
    share = graph.node("Sigmoid", parts.request_linear(graph.node("Concat", short, long, axis=1), "gate.gate"))
    fused = graph.node("Add", long, graph.node("Mul", share, graph.node("Sub", short, long)))
    # with one objective the outcome head has nothing to tell apart
    layers = [weights.linear(f"read_out.{name}") for name in ("interests", "outcomes", "shares", "normaliser.0")]
    if not with_outcomes:
        del layers[1]
    weight = np.concatenate([layer[0] for layer in layers], axis=1)
    bias = np.concatenate([layer[1] for layer in layers])
    heads = shape.interests + (shape.objectives if with_outcomes else 0)
    hidden_width = layers[-1][0].shape[1]
    sizes = graph.integers(heads * ranker.items.width, shape.interests, hidden_width)
    read = parts.request_gemm(fused, weight, bias, "read_out")
    vectors, shares, hidden = graph.nodes("Split", read, sizes, outputs=3, axis=1)
    log_shares = graph.node("LogSoftmax", shares, axis=1) if shape.interests > 1 else ""
    return _User(
        log_normaliser_B1=parts.request_linear(graph.node("Gelu", hidden), "read_out.normaliser.2"),
        log_shares_BK1=graph.node("Unsqueeze", log_shares, graph.integers(2)) if log_shares else "",
        heads_BJD=graph.node("Reshape", vectors, graph.integers(0, heads, ranker.items.width)),
    )


def _mixed(parts: Parts, products_BKC: str, log_shares_BK1: str, interests: int) -> str:
    """Return ``[B, C]``: the logits of the K interests, mixed by their shares."""
    graph = parts.graph
    if interests == 1:
        return graph.node("Squeeze", products_BKC, graph.integers(1))
    return graph.node("ReduceLogSumExp", graph.node("Add", products_BKC, log_shares_BK1), graph.integers(1), keepdims=0)


def _log_weight(parts: Parts, outcomes_BOC: str) -> str:
    """Return ``[B, C]``: log of the expected weight of the outcome."""
    graph = parts.graph
    chances_BOC = graph.node("Softmax", outcomes_BOC, axis=1)
    weights_BO1 = graph.node("Unsqueeze", tensors.OBJECTIVE_WEIGHTS, graph.integers(2))
    weighted_BC = graph.node("ReduceSum", graph.node("Mul", chances_BOC, weights_BO1), graph.integers(1), keepdims=0)
    return graph.node("Log", graph.node("Clip", weighted_BC, graph.number(_SMALLEST_CHANCE)))
