"""Writes an ONNX graph node by node, in one floating-point type for its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

OPSET: Final = 23
"""The first with a standard fused ``Attention``; ONNX Runtime has its kernel on the CPU and on CUDA, in both floats."""

IR_VERSION: Final = 11
ORT_DOMAIN: Final = "com.microsoft"
"""ONNX Runtime's own fused operators (SkipLayerNormalization, BiasGelu), on the CPU and on CUDA."""

_TYPES: Final = {
    np.dtype(np.float32): TensorProto.FLOAT,
    np.dtype(np.float16): TensorProto.FLOAT16,
    np.dtype(np.int64): TensorProto.INT64,
    np.dtype(np.int32): TensorProto.INT32,
}


class GraphBuilder:
    """Collects nodes and constants; every method returns the name of the tensor that it makes.

    Args:
        name: Of the graph.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[onnx.NodeProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._known: dict[tuple[Any, ...], str] = {}

    def input(self, name: str, dtype: Any, shape: Sequence[int | str], default: NDArray[Any] | None = None) -> str:
        """Declare an input; with a ``default`` it may be left out by callers."""
        self._inputs.append(helper.make_tensor_value_info(name, _TYPES[np.dtype(dtype)], shape))
        if default is not None:
            self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(default, dtype), name)
        return name

    def output(self, name: str, dtype: Any, shape: Sequence[int | str]) -> None:
        """Declare an output; a node must have made a tensor of this name."""
        self._outputs.append(helper.make_tensor_value_info(name, _TYPES[np.dtype(dtype)], shape))

    def constant(self, value: NDArray[Any], hint: str) -> str:
        """Return a constant; equal ones are stored once. ``hint`` becomes part of its name."""
        value = np.ascontiguousarray(value)
        key = (value.dtype.str, value.shape, value.tobytes())
        if key not in self._known:
            name = f"{hint}.{len(self._constants)}"
            self._known[key] = name
            self._constants[name] = numpy_helper.from_array(value, name)
        return self._known[key]

    def integers(self, *values: int) -> str:
        """Return a constant ``int64[n]``, for shapes and axes."""
        return self.constant(np.asarray(values, np.int64), "integers")

    def number(self, value: float, dtype: Any = np.float32) -> str:
        """Return a constant scalar."""
        return self.constant(np.asarray(value, dtype), "number")

    def node(self, operator: str, *inputs: str, name: str = "", domain: str = "", **attributes: Any) -> str:
        """Add a node with one output."""
        return self.nodes(operator, *inputs, outputs=1, name=name, domain=domain, **attributes)[0]

    def nodes(
        self,
        operator: str,
        *inputs: str,
        outputs: int | Sequence[str],
        name: str = "",
        domain: str = "",
        **attributes: Any,
    ) -> list[str]:
        """Add a node with several outputs: how many, or their names (an empty one is not computed)."""
        label = name or f"{operator}.{len(self._nodes)}"
        names = [f"{label}:{index}" for index in range(outputs)] if isinstance(outputs, int) else list(outputs)
        if name and outputs == 1:
            names = [name]
        self._nodes.append(helper.make_node(operator, inputs, names, name=label, domain=domain, **attributes))
        return names

    def model(self) -> onnx.ModelProto:
        """Return the checked model."""
        graph = helper.make_graph(
            self._nodes, self._name, self._inputs, self._outputs, initializer=list(self._constants.values())
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(ORT_DOMAIN, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="seqrank")
        onnx.checker.check_model(model)
        return model
