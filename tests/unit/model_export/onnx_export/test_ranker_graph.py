"""The ranker's graphs are the module's mathematics, fused, without waste."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from app.contract.manifest import RANKER_FILE, RETRIEVER_FILE
from app.contract.tensors import RankingBatch
from app.contract.tolerances import FP16, FP32
from app.inference.onnx_ranker import OnnxRanker
from app.inference.provider import obtain_provider
from model_export.errors import ExportError
from model_export.onnx_export import repeat_graph
from model_export.onnx_export.ranker_graph import ranker_model, retriever_model
from tests.small_ranker import reference_catalog_scores, reference_scores, requests_for, small_ranker, table_of
from tests.unit.model_export.onnx_export.half_casts import casts_between_halves

if TYPE_CHECKING:
    from pathlib import Path

    from model_export.modeling.ranker import SequenceRanker

KINDS: dict[str, dict[str, Any]] = {
    "transformer": {},
    "one block": {"blocks": 1},
    "four blocks": {"blocks": 4},
    "order only": {"use_time": False},
    "three interests": {"interests": 3},
    "two objectives": {"objectives": 2},
    "interests and objectives": {"interests": 2, "objectives": 3},
    "gru": {"encoder": "gru"},
    "one layer of gru": {"encoder": "gru", "blocks": 1, "use_time": False},
    "lstm": {"encoder": "lstm"},
}
CPU = obtain_provider("cpu")


def opened(ranker: SequenceRanker, folder: Path, dtype: Any = np.float32) -> OnnxRanker:
    """Write both graphs and open them with the class that serves."""
    onnx.save(ranker_model(ranker, dtype), folder / RANKER_FILE)
    onnx.save(retriever_model(ranker, dtype), folder / RETRIEVER_FILE)
    return OnnxRanker(folder, table_of(ranker).astype(dtype), provider=CPU)


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_the_modules(kind: str, tmp_path: Path) -> None:
    """In FP32 every kind of ranker scores as PyTorch does."""
    ranker = small_ranker(**KINDS[kind])
    batch = requests_for(ranker)
    error = np.abs(opened(ranker, tmp_path).score(batch) - reference_scores(ranker, batch)).max()
    assert error <= FP32.max_score_error


WITHOUT_CUDA = {("Pad", onnx.TensorProto.INT64), ("GatherND", onnx.TensorProto.INT32)}
"""Operators with types that ONNX Runtime 1.31's CUDA provider has no kernel for; see `bench.cuda_placement`."""


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_sends_a_run_on_cuda_back_to_the_cpu(kind: str, dtype: Any) -> None:
    """Such a node would copy its inputs and outputs in each run, and forbid its capture as a CUDA graph."""
    ranker = small_ranker(**KINDS[kind])
    for model in (ranker_model(ranker, dtype), retriever_model(ranker, dtype)):
        graph = onnx.shape_inference.infer_shapes(model).graph
        types = {value.name: value.type.tensor_type.elem_type for value in [*graph.input, *graph.value_info]}
        # what an operator of ONNX Runtime's own gives has no inferred type; all of those give floats
        found = {(node.op_type, types.get(node.input[0])) for node in graph.node}
        assert ("Pad", onnx.TensorProto.FLOAT) in found
        assert not found & WITHOUT_CUDA


@pytest.mark.parametrize("kind", KINDS)
def test_catalogue_scores_are_the_modules(kind: str, tmp_path: Path) -> None:
    """The retriever scores every row as PyTorch does."""
    ranker = small_ranker(**KINDS[kind])
    batch = requests_for(ranker)
    found = opened(ranker, tmp_path).score_catalog(batch.history)
    assert np.abs(found - reference_catalog_scores(ranker, batch))[:, 1:].max() <= FP32.max_score_error


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_keeps_the_scores(kind: str, tmp_path: Path) -> None:
    """In FP16 scores stay float32 and within the tolerance, also at ages of ten years."""
    ranker = small_ranker(**KINDS[kind])
    batch = requests_for(ranker)
    found = opened(ranker, tmp_path, np.float16).score(batch)
    assert found.dtype == np.float32
    assert np.abs(found - reference_scores(ranker, batch)).max() <= FP16.max_score_error


def test_one_objective_weight_for_each_request(tmp_path: Path) -> None:
    """Weights of a batch reach their own request, and one row of weights reaches all."""
    ranker = small_ranker(objectives=3)
    batch = requests_for(ranker)
    weights = np.random.default_rng(2).uniform(0, 2, (5, 3)).astype(np.float32)
    serving = opened(ranker, tmp_path)
    for given in (weights, weights[:1]):
        found = serving.score(RankingBatch(batch.history, batch.candidate_rows_BC, given))
        assert np.abs(found - reference_scores(ranker, batch, given)).max() <= FP32.max_score_error


def test_both_ways_to_find_repeats_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large catalogues compare candidates with events, small ones mark rows: the scores are the same."""
    ranker = small_ranker()
    batch = requests_for(ranker)
    marked = opened(ranker, tmp_path).score(batch)
    monkeypatch.setattr(repeat_graph, "MARKED_CATALOG", 0)
    np.testing.assert_array_equal(marked, opened(ranker, tmp_path).score(batch))


def test_a_table_that_has_grown_is_scored(tmp_path: Path) -> None:
    """Rows beyond the catalogue of the export can be candidates and history."""
    ranker = small_ranker()
    serving = opened(ranker, tmp_path)
    batch = requests_for(ranker)
    table = table_of(ranker)
    serving.use_item_table(np.concatenate([table, table[1:]]))
    moved = RankingBatch(batch.history, batch.candidate_rows_BC + len(table) - 1)
    fresh = ~(batch.candidate_rows_BC[:, :, None] == batch.history.rows_BH[:, None, :]).any(axis=2)
    found = serving.score(moved)[fresh]
    np.testing.assert_allclose(found, serving.score(batch)[fresh], atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "attention", "norms"), [("transformer", 3, 7), ("one block", 2, 5), ("four blocks", 5, 11), ("gru", 1, 3)]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_attention_norms_and_gelu_are_single_nodes(kind: str, attention: int, norms: int, dtype: Any) -> None:
    """Every block's attention, the long-term reader's, every LayerNorm and every GELU is one fused operator."""
    counts = Counter(node.op_type for node in ranker_model(small_ranker(**KINDS[kind]), dtype).graph.node)
    assert counts["Attention"] == attention
    assert counts["LayerNormalization"] + counts["SkipLayerNormalization"] == norms
    assert counts["Softmax"] + counts["Erf"] + counts["Sqrt"] + counts["ReduceMean"] == 0
    blocks = attention - 1
    assert counts["Gelu"] + counts["BiasGelu"] == blocks + 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("write", [ranker_model, retriever_model])
def test_no_cast_stands_between_halves(kind: str, write: Any) -> None:
    """FP16 graphs cross the border to FP32 where FP32 begins, and never back."""
    model = write(small_ranker(**KINDS[kind]), np.float16)
    assert casts_between_halves(model) == []
    to_half = [
        node.name for node in model.graph.node
        if node.op_type == "Cast" and any(attribute.i == onnx.TensorProto.FLOAT16 for attribute in node.attribute)
    ]  # fmt: skip
    assert to_half == []


def test_a_wasted_cast_would_be_found() -> None:
    """The count is not zero by mistake."""
    model = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 20]> g (float16[2] x) => (float16[2] y) '
        "{ up = Cast<to=1>(x) y = Cast<to=10>(up) }"
    )
    assert len(casts_between_halves(model)) == 1


def test_the_optimised_graph_has_no_casts_of_floats(tmp_path: Path) -> None:
    """In FP32, ONNX Runtime runs no Cast between floats and keeps the fused nodes."""
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    ort.InferenceSession(ranker_model(small_ranker()).SerializeToString(), options, providers=["CPUExecutionProvider"])
    nodes = onnx.load(tmp_path / "optimised.onnx").graph.node
    counts = Counter(node.op_type for node in nodes)
    casts = [node for node in nodes if node.op_type == "Cast"]
    assert (counts["Attention"], counts["Softmax"]) == (3, 0)
    assert {attribute.i for node in casts for attribute in node.attribute if attribute.name == "to"} <= {1, 6}


def test_the_user_side_is_computed_once_a_request() -> None:
    """Nothing of the history's work depends on the number of candidates."""
    graph = ranker_model(small_ranker()).graph
    touched = {"candidate_rows"}
    for node in graph.node:
        if touched & set(node.input):
            touched |= set(node.output)
    heavy = [node.op_type for node in graph.node if touched & set(node.input)]
    assert not {"Attention", "LayerNormalization", "Gemm"} & set(heavy)


def test_a_layer_that_the_graph_does_not_know_is_named() -> None:
    """A parameter that somebody adds to the model cannot be forgotten in silence."""
    ranker = small_ranker()
    ranker.extra_layer = torch.nn.Linear(2, 2)
    with pytest.raises(ExportError, match=r"the graph does not use extra_layer\.bias, extra_layer\.weight"):
        ranker_model(ranker)


def test_an_unknown_encoder_is_named() -> None:
    """A sequence encoder without a graph is refused by name."""
    ranker = small_ranker()
    ranker.shape = type(ranker.shape)(**{
        **{name: getattr(ranker.shape, name) for name in ranker.shape.__dataclass_fields__}, "encoder": "mamba",
    })  # fmt: skip
    with pytest.raises(ExportError, match="no graph for the sequence encoder 'mamba'"):
        ranker_model(ranker)


def test_the_same_weights_make_the_same_bytes() -> None:
    """Exports are reproducible, so a bundle's version follows from its content."""
    assert ranker_model(small_ranker()).SerializeToString() == ranker_model(small_ranker()).SerializeToString()
