"""Writing ``item_encoder.onnx``: token ids in, item vectors out, in each precision."""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
import onnxruntime as ort
import torch
from torch import nn

from app.contract.manifest import PRECISIONS
from app.contract.tensors import ATTENTION_MASK, INPUT_IDS, ITEM_VECTORS
from model_export.errors import CommandError
from model_export.modeling.text_tokens import length_buckets, tokenize
from model_export.onnx_export.encoder_packing import packed_copy, padded_copy
from model_export.onnx_export.encoder_quantization import quantize_graph
from model_export.onnx_export.graph_builder import OPSET

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tokenizers import Tokenizer

    from app.contract.tensors import Float32Array
    from model_export.modeling.text_tokens import TextTokens

_FUSED: Final = {
    "attention": ("Attention", "MultiHeadAttention"),
    "layer_norm": ("LayerNormalization", "SkipLayerNormalization", "EmbedLayerNormalization"),
    "gelu": ("Gelu", "BiasGelu", "FastGelu"),
    "softmax_left": ("Softmax",),
    "erf_left": ("Erf",),
    "cast": ("Cast",),
    "int8_products": ("MatMulIntegerToFloat",),
}
_EXAMPLE_TEXTS: Final = ("An example of an item's text", "Short", "")
_PACKED_TOLERANCE: Final = 1e-3
_TOKENS_PER_RUN: Final = 2048

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EncoderExport:
    """What `export_item_encoder` wrote.

    Attributes:
        opset: ONNX opset of the file.
        fused_counts: Nodes in the file: ``attention``, ``layer_norm`` and ``gelu`` (one node each block),
            ``softmax_left`` and ``erf_left`` (what should not be there), ``cast``, ``int8_products``.
        parity: Against the module in PyTorch on the calibration texts: ``max_error`` (absolute), ``min_cosine``,
            ``mean_cosine``.
        left_out: In ``int8``, the activations whose layers stayed in FP32.
    """

    opset: int
    fused_counts: dict[str, int]
    parity: dict[str, float]
    left_out: tuple[str, ...] = ()


def export_item_encoder(
    module: nn.Module, tokenizer: Tokenizer, path: Path, *, precision: str, calibration_texts: Sequence[str]
) -> EncoderExport:
    """Write ``(input_ids int64[N, T], attention_mask int64[N, T]) -> item_vectors float32[N, D]`` as ONNX.

    Padding is on the right. A text's vector does not depend on the texts beside it.

    Args:
        module: ``(input_ids, attention_mask) -> [N, D]``, in evaluation mode, with a transformers encoder inside.
        tokenizer: What the bundle's ``tokenizer.json`` holds.
        path: The file to write.
        precision: ``fp32``, ``fp16`` (for CUDA) or ``int8`` (for CPU).
        calibration_texts: Real texts of the catalogue: activation ranges are taken from them, and parity.

    Raises:
        CommandError: If the precision is none of these, or there is no calibration text.
    """
    if precision not in PRECISIONS:
        raise CommandError(f"the item encoder's precision is {precision!r}, expected one of {', '.join(PRECISIONS)}")
    if not calibration_texts:
        raise CommandError("the item encoder needs at least one calibration text")
    tokens = tokenize(calibration_texts, tokenizer)
    reference = torch_vectors(module, tokens)

    def cosine(candidate: Path) -> float:
        return parity(reference, onnx_vectors(candidate, tokens))["min_cosine"]

    written = path.with_suffix(".fp32.onnx") if precision == "int8" else path
    _export(_exportable(module, tokenizer, half=precision == "fp16"), written, tokenizer)
    left_out: list[str] = []
    if precision == "int8":
        left_out = quantize_graph(written, path, tokens, cosine)
        written.unlink()
    counts = fused_counts(path)
    return EncoderExport(OPSET, counts, parity(reference, onnx_vectors(path, tokens)), tuple(left_out))


def fused_counts(path: Path) -> dict[str, int]:
    """Count the nodes of a graph file by what they stand for; see `EncoderExport`."""
    nodes = Counter(node.op_type for node in onnx.load(path, load_external_data=False).graph.node)
    return {name: sum(nodes[kind] for kind in kinds) for name, kinds in _FUSED.items()}


def parity(reference_ND: Float32Array, vectors_ND: Float32Array) -> dict[str, float]:
    """Compare vectors with reference vectors; see `EncoderExport`."""
    lengths = np.linalg.norm(reference_ND, axis=1) * np.linalg.norm(vectors_ND, axis=1)
    cosines = (reference_ND * vectors_ND).sum(axis=1) / np.maximum(lengths, np.finfo(np.float32).tiny)
    return {
        "max_error": float(np.abs(reference_ND - vectors_ND).max()),
        "min_cosine": float(cosines.min()),
        "mean_cosine": float(cosines.mean()),
    }


@torch.inference_mode()
def torch_vectors(module: nn.Module, tokens: TextTokens) -> Float32Array:
    """Return ``float32[N, D]`` of all texts, computed by PyTorch on the CPU."""
    blocks, order = [], []
    for positions in length_buckets(tokens.lengths, tokens_per_batch=_TOKENS_PER_RUN):
        input_ids, attention_mask = (torch.from_numpy(array) for array in tokens.batch(positions))
        blocks.append(module(input_ids, attention_mask).float().numpy())
        order.append(positions)
    return _in_order(blocks, order)


def onnx_vectors(path: Path, tokens: TextTokens) -> Float32Array:
    """Return ``float32[N, D]`` of all texts, computed by ONNX Runtime on the CPU."""
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    blocks, order = [], []
    for positions in length_buckets(tokens.lengths, tokens_per_batch=_TOKENS_PER_RUN):
        input_ids, attention_mask = tokens.batch(positions)
        blocks.append(session.run([ITEM_VECTORS], {INPUT_IDS: input_ids, ATTENTION_MASK: attention_mask})[0])
        order.append(positions)
    return _in_order(blocks, order)


def _in_order(blocks: list[Any], order: list[Any]) -> Float32Array:
    vectors_ND = np.concatenate(blocks)
    result = np.empty_like(vectors_ND)
    result[np.concatenate(order)] = vectors_ND
    return result


def _exportable(module: nn.Module, tokenizer: Tokenizer, *, half: bool) -> nn.Module:
    """Return a copy that computes nothing for padding, or one that does where its encoder cannot run packed."""
    tokens = tokenize(_EXAMPLE_TEXTS, tokenizer)
    expected = torch_vectors(module, tokens)
    try:
        packed = packed_copy(module).eval()
        actual = torch_vectors(packed, tokens)
    except (TypeError, ValueError, RuntimeError, AttributeError) as error:
        logger.warning("the encoder cannot leave out padding, so its graph computes it too: %s", error)
        return padded_copy(module, half=half).eval()
    if np.abs(actual - expected).max() > _PACKED_TOLERANCE * max(1.0, float(np.abs(expected).max())):
        logger.warning("the encoder gives other vectors without padding, so its graph computes it too")
        return padded_copy(module, half=half).eval()
    return packed_copy(module, half=True).eval() if half else packed


def _export(module: nn.Module, path: Path, tokenizer: Tokenizer) -> None:
    example = tuple(torch.from_numpy(array) for array in tokenize(_EXAMPLE_TEXTS, tokenizer).batch(np.arange(3)))
    axes = {0: torch.export.Dim("N"), 1: torch.export.Dim("T")}
    with _quiet_export(), torch.inference_mode():
        program: Any = torch.onnx.export(
            module,
            example,
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT_IDS, ATTENTION_MASK],
            output_names=[ITEM_VECTORS],
            dynamic_shapes=(axes, axes),
            verbose=False,
        )
        program.save(str(path), external_data=False)


@contextmanager
def _quiet_export() -> Iterator[None]:
    """Silence what torch's exporter has to say about its own future."""
    torch_logger = logging.getLogger("torch.onnx")
    level = torch_logger.level
    torch_logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch_logger.setLevel(level)
