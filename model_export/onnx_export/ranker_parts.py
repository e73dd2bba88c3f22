"""The building blocks of the ranker's graphs: norms, linear layers, age buckets and attention, each as few nodes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from app.contract.tensors import MASKED_LOGIT
from model_export.errors import ExportError
from model_export.modeling.buckets import TIME_BUCKETS
from model_export.onnx_export.graph_builder import ORT_DOMAIN, GraphBuilder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from model_export.onnx_export.trained_weights import TrainedWeights

LAYER_NORM_EPSILON: Final = 1e-5

_LARGEST_BUCKET: Final = 256
"""Of any finite float32; tables are filled up to it with their last row, so that no node has to cap the bucket."""


@dataclass(frozen=True, slots=True)
class Parts:
    """A builder with the weights that it writes.

    Attributes:
        graph: Where nodes go.
        weights: The trained numbers.
        event_dtype: Of everything that is computed once for each event: float32 or float16.
        heads: X.
        positions: L at most: history length and the start token.
    """

    graph: GraphBuilder
    weights: TrainedWeights
    event_dtype: Any
    heads: int
    positions: int

    def event_weight(self, value: NDArray[Any], hint: str) -> str:
        """Return a constant in the dtype of what is computed for each event.

        Raises:
            ExportError: If a number is beyond that dtype; it names the layer.
        """
        with np.errstate(over="ignore"):
            cast = value.astype(self.event_dtype)
        if not np.isfinite(cast).all():
            raise ExportError(
                f"{hint} holds {float(np.abs(value).max()):.3g}, which {np.dtype(self.event_dtype)} cannot hold"
            )
        return self.graph.constant(cast, hint)

    def request_weight(self, value: NDArray[Any], hint: str) -> str:
        """Return a constant in float32, for what is computed once for each request."""
        return self.graph.constant(value.astype(np.float32), hint)

    def to_float32(self, tensor: str) -> str:
        """Return a float32 tensor: the one border between the half-precision part and the rest."""
        return tensor if self.event_dtype == np.float32 else self.graph.node("Cast", tensor, to=1)

    def layer_norm(self, tensor: str, name: str, dtype: Any) -> str:
        """Return the LayerNorm ``name`` of a tensor."""
        scale, shift = (self.graph.constant(value.astype(dtype), name) for value in self.weights.norm(name))
        return self.graph.node(
            "LayerNormalization", tensor, scale, shift, name=name, axis=-1, epsilon=LAYER_NORM_EPSILON
        )

    def add_and_norm(self, added: str, residual: str, bias: NDArray[Any], name: str, dtype: Any) -> tuple[str, str]:
        """Return ``(norm(added + bias + residual), added + bias + residual)``, the norm in one fused node.

        In float16, which is for CUDA, the additions are part of it. The CPU's kernel of that operator works number by
        number: at 51 x 64 it took 26 us, two additions and the vectorised LayerNormalization 7 us.
        """
        scale, shift = (self.graph.constant(value.astype(dtype), name) for value in self.weights.norm(name))
        shifts = self.graph.constant(bias.astype(dtype), "bias")
        if dtype == np.float32:
            total = self.graph.node("Add", self.graph.node("Add", added, shifts), residual)
            normed = self.graph.node(
                "LayerNormalization", total, scale, shift, name=name, axis=-1, epsilon=LAYER_NORM_EPSILON
            )
            return normed, total
        outputs = (f"{name}:normed", "", "", f"{name}:sum")
        self.graph.nodes(
            "SkipLayerNormalization", added, residual, scale, shift, shifts,
            outputs=outputs, name=name, domain=ORT_DOMAIN, epsilon=LAYER_NORM_EPSILON,
        )  # fmt: skip
        return outputs[0], outputs[3]

    def request_linear(self, tensor: str, name: str) -> str:
        """Return a linear layer of ``float32[B, in]``."""
        weight, bias = self.weights.linear(name)
        return self.request_gemm(tensor, weight, bias, name)

    def request_gemm(self, tensor: str, weight: NDArray[Any], bias: NDArray[Any], name: str) -> str:
        """Return ``tensor @ weight + bias`` of ``float32[B, in]``."""
        return self.graph.node(
            "Gemm", tensor, self.request_weight(weight, name), self.request_weight(bias, name), name=name
        )

    def bucket_of_seconds(self, seconds: str) -> str:
        """Return int32 of the same shape: `model_export.modeling.buckets.time_bucket` of float32 seconds."""
        return self.whole(self.scale_of_seconds(seconds))

    def scale_of_seconds(self, seconds: str) -> str:
        """Return float32 of the same shape, whose whole part is the bucket of float32 seconds."""
        graph = self.graph
        above_one = graph.node("Add", graph.node("Relu", seconds), graph.number(1.0))
        scaled = graph.node("Mul", graph.node("Log", above_one), graph.number(2.0 / math.log(2.0)))
        return graph.node("Add", scaled, graph.number(1e-3))

    def whole(self, number: str) -> str:
        """Return the whole part as int32."""
        return self.graph.node("Cast", number, to=6)


def time_rows(table: NDArray[Any]) -> NDArray[Any]:
    """Return a table of `TIME_BUCKETS` rows filled up to every bucket that a float32 can fall into."""
    return np.concatenate([table, np.repeat(table[-1:], _LARGEST_BUCKET + 1 - TIME_BUCKETS, axis=0)])


def position_bias(table: NDArray[Any], positions: int) -> NDArray[Any]:
    """Return ``[heads, positions, positions]``: bias of (query, key) by their distance, causal.

    Args:
        table: ``[POSITION_BUCKETS, heads]``.
        positions: L.
    """
    distance = np.arange(positions)[:, None] - np.arange(positions)[None, :]
    bias = table[_position_buckets(np.maximum(distance, 0))].transpose(2, 0, 1)
    return bias + np.where(distance < 0, MASKED_LOGIT, 0.0)


def _position_buckets(distance: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return what `model_export.modeling.buckets.position_bucket` gives, which is asked once, at export."""
    import torch

    from model_export.modeling.buckets import position_bucket

    buckets: NDArray[np.int64] = position_bucket(torch.from_numpy(distance)).numpy()
    return buckets
