"""What `export_item_encoder` promises, for each architecture and precision."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

from model_export.errors import CommandError
from model_export.modeling.encoder_loading import load_encoder
from model_export.modeling.text_tokens import tokenize
from model_export.modeling.text_tower import TextTower
from model_export.modeling.text_vectors import whitened_text_vectors
from model_export.onnx_export.encoder_graph import export_item_encoder, fused_counts, onnx_vectors, torch_vectors
from tests.unit.model_export.onnx_export.half_casts import casts_between_halves
from tests.unit.model_export.text_encoders import write_encoder

TEXTS = ["red game", "phone", "", "中文 手机", "😀 smile", "x" * 10_000, "a tv and a new big game", "small"]


def tower_of(tmp_path, source, width=8):
    encoder = load_encoder(source, max_tokens=24)
    _, whitening = whitened_text_vectors(TEXTS, encoder, tmp_path / "cache", width=width)
    return TextTower(encoder, whitening).eval(), encoder.tokenizer


@pytest.mark.parametrize("architecture", ["bert", "distilbert", "roberta", "modernbert"])
def test_every_architecture_exports_with_one_node_a_block(tmp_path, architecture):
    """Two layers give two attention and two GELU nodes, five layer norms, and the vectors of PyTorch."""
    tower, tokenizer = tower_of(tmp_path, write_encoder(tmp_path / "encoder", architecture))
    path = tmp_path / "item_encoder.onnx"
    export = export_item_encoder(tower, tokenizer, path, precision="fp32", calibration_texts=TEXTS)
    found = {name: export.fused_counts[name] for name in ("attention", "gelu", "layer_norm", "softmax_left")}
    assert found == {"attention": 2, "gelu": 2, "layer_norm": 5, "softmax_left": 0}
    assert export.parity["max_error"] < 1e-4


def test_packaged_minilm_stays_fused_in_what_onnx_runtime_executes(tmp_path):
    """MiniLM: 6 attention, 13 layer norm and 6 GELU nodes in the file, and after ONNX Runtime's own optimiser."""
    tower, tokenizer = tower_of(tmp_path, None)
    path = tmp_path / "item_encoder.onnx"
    export = export_item_encoder(tower, tokenizer, path, precision="fp32", calibration_texts=TEXTS)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    optimised = fused_counts(tmp_path / "optimised.onnx")
    wanted = {"attention": 6, "layer_norm": 13, "gelu": 6, "softmax_left": 0, "erf_left": 0}
    assert [wanted, wanted] == [{name: counts[name] for name in wanted} for counts in (export.fused_counts, optimised)]


def test_fp16_is_near_and_casts_only_at_the_edges(tmp_path):
    """FP16: weights are FP16, vectors are float32 and near, and no Cast reads or feeds an FP16 node inside."""
    tower, tokenizer = tower_of(tmp_path, write_encoder(tmp_path / "encoder"))
    path = tmp_path / "item_encoder.onnx"
    export = export_item_encoder(tower, tokenizer, path, precision="fp16", calibration_texts=TEXTS)
    graph = onnx.load(path).graph
    half = {entry.name for entry in graph.initializer if entry.data_type == onnx.TensorProto.FLOAT16}
    weights = [node.input[1] for node in graph.node if node.op_type == "Gemm" and "source" in node.input[1]]
    from_half = [node for node in graph.node if node.op_type == "Cast" and "layer_norm" in node.input[0]]
    to_half = [
        node for node in graph.node if node.op_type == "Cast" and node.attribute[0].i == onnx.TensorProto.FLOAT16
    ]
    assert (set(weights) <= half, len(weights), len(to_half), len(from_half) <= 1) == (True, 12, 0, True)
    assert export.parity["min_cosine"] > 0.999


def test_fp16_modernbert_casts_to_compute_angles_in_float32_and_for_nothing_else(tmp_path):
    """No Cast stands between FP16 nodes: each leads to, or from, what the model computes in float32."""
    tower, tokenizer = tower_of(tmp_path, write_encoder(tmp_path / "encoder", "modernbert"))
    path = tmp_path / "item_encoder.onnx"
    export = export_item_encoder(tower, tokenizer, path, precision="fp16", calibration_texts=TEXTS)
    assert casts_between_halves(onnx.load(path)) == []
    assert export.parity["min_cosine"] > 0.999


def test_int8_computes_every_linear_layer_in_int8_and_stays_near(tmp_path):
    """INT8: the twelve linear layers are integer products, and the least cosine is at least 0.99."""
    tower, tokenizer = tower_of(tmp_path, write_encoder(tmp_path / "encoder"))
    path = tmp_path / "item_encoder.onnx"
    export = export_item_encoder(tower, tokenizer, path, precision="int8", calibration_texts=TEXTS)
    assert (export.fused_counts["int8_products"], export.left_out) == (12, ())
    assert export.parity["min_cosine"] >= 0.99
    tokens = tokenize(["phone", "a tv and a new big game"], tokenizer)
    together = onnx_vectors(path, tokens)
    alone = onnx_vectors(path, tokenize(["phone"], tokenizer))
    np.testing.assert_allclose(together[0], alone[0], atol=1e-5)


def test_an_unknown_precision_is_refused_by_name(tmp_path):
    """The sentence names the precision and those that exist."""
    tower, tokenizer = tower_of(tmp_path, write_encoder(tmp_path / "encoder"))
    with pytest.raises(CommandError, match="precision is 'int4', expected one of fp32, fp16, int8"):
        export_item_encoder(tower, tokenizer, tmp_path / "x.onnx", precision="int4", calibration_texts=TEXTS)
    assert torch_vectors(tower, tokenize(TEXTS, tokenizer)).shape == (len(TEXTS), 8)
