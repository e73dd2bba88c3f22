"""The part of the ranker's graph that finds candidates which the user already has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from app.contract import tensors

if TYPE_CHECKING:
    from model_export.onnx_export.ranker_parts import Parts

MARKED_CATALOG: Final = 32_768
"""Up to this many items a mark for each item of the catalogue costs less than comparing candidates with events."""


def repeat_logits(parts: Parts, *, item_count: int) -> str:
    """Return ``float32[B, C]``: the repeat logit for candidates that are in the history, 0 for the others.

    Args:
        parts: Where to write.
        item_count: N at export, which decides how; both ways work for every table.
    """
    logit = float(parts.weights["repeat_logit"])
    return _by_marks(parts, logit) if item_count <= MARKED_CATALOG else _by_comparison(parts, logit)


def _by_marks(parts: Parts, logit: float) -> str:
    """Mark the history's rows in ``[B, R]`` and look the candidates up: work for R + H + C."""
    graph = parts.graph
    known_BH = graph.node("Cast", graph.node("Sign", tensors.HISTORY_ROWS), to=1)
    marks_BH = graph.node("Mul", known_BH, graph.number(logit))
    shape = graph.node(
        "Concat",
        graph.node("Shape", tensors.HISTORY_ROWS, end=1),
        graph.node("Shape", tensors.ITEM_TABLE, end=1),
        axis=0,
    )
    marked_BR = graph.node("ScatterElements", graph.node("Expand", graph.number(0.0), shape),
                           tensors.HISTORY_ROWS, marks_BH, axis=1)  # fmt: skip
    return graph.node("GatherElements", marked_BR, tensors.CANDIDATE_ROWS, axis=1)


def _by_comparison(parts: Parts, logit: float) -> str:
    """Compare every candidate with every event: work for C x H, whatever the size of the catalogue."""
    graph = parts.graph
    candidates_B1C = graph.node("Unsqueeze", graph.node("Cast", tensors.CANDIDATE_ROWS, to=6), graph.integers(1))
    rows_BH1 = graph.node("Unsqueeze", graph.node("Cast", tensors.HISTORY_ROWS, to=6), graph.integers(2))
    same_BHC = graph.node("Cast", graph.node("Equal", candidates_B1C, rows_BH1), to=1)
    seen_BC = graph.node("ReduceMax", same_BHC, graph.integers(1), keepdims=0)
    return graph.node("Mul", seen_BC, graph.number(logit))
