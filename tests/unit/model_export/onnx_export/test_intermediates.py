"""Every intermediate of a graph is looked at, and a fault is named by its layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper

from model_export.errors import ExportError
from model_export.onnx_export.intermediates import scan_for_overflow, worst_layer

if TYPE_CHECKING:
    from pathlib import Path

GRAPH = """
<ir_version: 10, opset_import: ["" : 20]>
g (float[2] x) => (float[2] y) {
    doubled = Add(x, x)
    layer = Mul(doubled, weight)
    y = Sqrt(layer)
}
"""


def written(path: Path, weight: float) -> Path:
    """Write a graph of three nodes with one weight."""
    model = onnx.parser.parse_model(GRAPH)
    model.graph.initializer.append(numpy_helper.from_array(np.float32(weight), "weight"))
    onnx.save(model, path)
    return path


def test_the_largest_value_is_found_with_its_place(tmp_path: Path) -> None:
    """The scan says how large values get, and where."""
    scan = scan_for_overflow(written(tmp_path / "a.onnx", 50.0), [{"x": np.array([1, 2], np.float32)}])
    assert (scan.tensors, scan.largest, scan.largest_at, scan.largest_half) == (3, 200.0, "layer", 0.0)


def test_the_first_layer_that_is_not_finite_is_named(tmp_path: Path) -> None:
    """A NaN is named where it arises, not where it arrives."""
    path = written(tmp_path / "a.onnx", -1.0)
    with pytest.raises(ExportError, match=r"a\.onnx: y is not finite on a golden request \(largest before: doubled\)"):
        scan_for_overflow(path, [{"x": np.array([1, 2], np.float32)}])


def test_the_layer_where_an_error_arises_is_named(tmp_path: Path) -> None:
    """Two graphs that differ in one weight differ from that layer on."""
    feeds = {"x": np.array([1, 2], np.float32)}
    one, other = written(tmp_path / "a.onnx", 1.0), written(tmp_path / "b.onnx", 1.1)
    assert worst_layer(one, other, [(feeds, feeds)]) == "layer"
    assert worst_layer(one, one, [(feeds, feeds)]) == "no layer"
