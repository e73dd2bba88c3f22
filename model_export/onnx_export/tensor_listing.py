"""Lists the inputs and outputs of a graph file for the manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx
from onnx import TensorProto

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def tensors_of(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Return ``{"inputs": [{"name", "dtype", "shape", "optional"}], "outputs": [...]}`` of an ``.onnx`` file."""
    graph = onnx.load(path, load_external_data=False).graph
    defaults = {constant.name for constant in graph.initializer}
    return {"inputs": _listed(graph.input, defaults), "outputs": _listed(graph.output, set())}


def _listed(values: Iterable[onnx.ValueInfoProto], defaults: set[str]) -> list[dict[str, Any]]:
    return [
        {
            "name": value.name,
            "dtype": TensorProto.DataType.Name(value.type.tensor_type.elem_type).lower(),
            "shape": [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim],
            "optional": value.name in defaults,
        }
        for value in values
    ]
