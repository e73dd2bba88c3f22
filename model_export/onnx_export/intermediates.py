"""Runs a graph with every intermediate tensor as an output: looks for NaN and overflow, and for where errors arise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
import onnxruntime as ort

from app.contract import tensors
from model_export.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from app.contract.golden import GoldenRequest

Feeds = dict[str, Any]

_NEGLIGIBLE: Final = 1e-2
"""Errors of smaller tensors count as if they were of this size: a logarithm of 1 is all rounding."""


@dataclass(frozen=True, slots=True)
class Scan:
    """What the floats of a graph looked like.

    Attributes:
        tensors: How many intermediate float tensors were seen.
        largest: Largest absolute value.
        largest_at: The tensor that holds it.
        largest_half: Largest absolute value of a float16 tensor, 0 without any; float16 ends at 65,504.
        largest_half_at: The tensor that holds it.
    """

    tensors: int
    largest: float
    largest_at: str
    largest_half: float
    largest_half_at: str


def scan_for_overflow(path: Path, requests: Iterable[Feeds]) -> Scan:
    """Look at every float intermediate of a graph over some requests.

    Args:
        path: The ``.onnx`` file.
        requests: Feeds.

    Raises:
        ExportError: If one is not finite; it names the layer, which is the first in the order of the graph.
    """
    session, names = _session_of_everything(path)
    seen: dict[str, float] = {}
    half: dict[str, float] = {}
    for feeds in requests:
        for name, value in zip(names, session.run(names, feeds), strict=True):
            if not isinstance(value, np.ndarray) or value.dtype.kind != "f" or not value.size:
                continue
            if not np.isfinite(value).all():
                raise ExportError(
                    f"{path.name}: {name} is not finite on a golden request (largest before: {_top(seen)})"
                )
            largest = float(np.abs(value).max())
            seen[name] = max(seen.get(name, 0.0), largest)
            if value.dtype == np.float16:
                half[name] = max(half.get(name, 0.0), largest)
    at, half_at = _top(seen), _top(half)
    return Scan(len(seen), seen.get(at, 0.0), at, half.get(half_at, 0.0), half_at)


def worst_layer(reference: Path, other: Path, pairs: Sequence[tuple[Feeds, Feeds]]) -> str:
    """Return the layer at which ``other`` first differs from ``reference`` by most of its final relative error.

    Only tensors of the same name and shape in both graphs are compared, in the order of the graph.

    Args:
        reference: The FP32 graph.
        other: The same graph in another precision.
        pairs: Feeds of each for the same requests.
    """
    session, names = _session_of_everything(reference)
    other_session, other_names = _session_of_everything(other)
    shared = [name for name in names if name in set(other_names)]
    errors = dict.fromkeys(shared, 0.0)
    for feeds, other_feeds in pairs:
        expected = session.run(shared, feeds)
        actual = other_session.run(shared, other_feeds)
        for name, wanted, got in zip(shared, expected, actual, strict=True):
            if wanted.dtype.kind == "f" and wanted.shape == got.shape:
                errors[name] = max(errors[name], _relative_error(wanted, got))
    final = max(errors.values(), default=0.0)
    return next((name for name, error in errors.items() if error >= final / 2 and error > 0), "no layer")


def ranker_feeds(request: GoldenRequest, table: NDArray[Any], *, with_candidates: bool = True) -> Feeds:
    """Return what ``ranker.onnx`` takes for a golden request, or what ``retriever.onnx`` takes."""
    batch = request.batch()
    feeds = {
        tensors.ITEM_TABLE: table,
        tensors.HISTORY_ROWS: batch.history.rows_BH,
        tensors.HISTORY_ACTIONS: batch.history.actions_BH,
        tensors.HISTORY_AGE_S: batch.history.age_s_BH,
    }
    return feeds | {tensors.CANDIDATE_ROWS: batch.candidate_rows_BC} if with_candidates else feeds


def _session_of_everything(path: Path) -> tuple[ort.InferenceSession, list[str]]:
    model = onnx.load(path)
    declared = {output.name for output in model.graph.output}
    names = [name for node in model.graph.node for name in node.output if name]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in declared)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"]), names


def _relative_error(wanted: NDArray[Any], got: NDArray[Any]) -> float:
    scale = max(float(np.abs(wanted).max(initial=0.0)), _NEGLIGIBLE)
    return float(np.abs(wanted.astype(np.float64) - got).max(initial=0.0)) / scale


def _top(values: dict[str, float]) -> str:
    return max(values, key=lambda name: values[name], default="none")
