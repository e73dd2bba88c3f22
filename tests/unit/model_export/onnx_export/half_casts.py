"""Whether an FP16 graph casts back and forth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx import TensorProto, shape_inference

if TYPE_CHECKING:
    import onnx


def casts_between_halves(model: onnx.ModelProto) -> list[str]:
    """Return the names of Cast nodes that leave float16 for a result which is only cast back to it.

    A border between halves and FP32 is crossed once, where FP32 is needed. A cast whose every reader casts back, or
    that turns float16 into float16, is waste.
    """
    inferred = shape_inference.infer_shapes(model)
    types = {
        value.name: value.type.tensor_type.elem_type
        for value in [*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output]
    }
    types |= {constant.name: constant.data_type for constant in inferred.graph.initializer}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    wasted = []
    for node in model.graph.node:
        if node.op_type != "Cast" or types.get(node.input[0]) != TensorProto.FLOAT16:
            continue
        following = readers.get(node.output[0], [])
        if _target(node) == TensorProto.FLOAT16 or (
            following and all(_target(reader) == TensorProto.FLOAT16 for reader in following)
        ):
            wasted.append(node.name)
    return wasted


def _target(node: onnx.NodeProto) -> int:
    """Return the type that a Cast makes, 0 for any other node."""
    if node.op_type != "Cast":
        return 0
    return next(int(attribute.i) for attribute in node.attribute if attribute.name == "to")
