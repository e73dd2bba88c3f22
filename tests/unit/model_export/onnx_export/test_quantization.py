"""INT8 products are used in the ranker where they were measured to be faster, and only there."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort
import pytest

from app.contract import tensors
from model_export.onnx_export import quantization
from model_export.onnx_export.quantization import faster_ranker
from model_export.onnx_export.ranker_graph import ranker_model
from tests.small_ranker import reference_scores, requests_for, small_ranker, table_of

if TYPE_CHECKING:
    import onnx

    from model_export.modeling.ranker import SequenceRanker


def feeds_for(ranker: SequenceRanker) -> dict[str, Any]:
    """Return what the graph takes."""
    batch = requests_for(ranker)
    return {
        tensors.ITEM_TABLE: table_of(ranker),
        tensors.HISTORY_ROWS: batch.history.rows_BH,
        tensors.HISTORY_ACTIONS: batch.history.actions_BH,
        tensors.HISTORY_AGE_S: batch.history.age_s_BH,
        tensors.CANDIDATE_ROWS: batch.candidate_rows_BC,
    }


def int8_products(model: onnx.ModelProto) -> int:
    """Return how many matrix products are in INT8."""
    return Counter(node.op_type for node in model.graph.node)["MatMulInteger"]


@pytest.mark.parametrize(("needed", "kept"), [(0.0, True), (1e9, False)])
def test_the_faster_form_is_kept(monkeypatch: pytest.MonkeyPatch, needed: float, kept: bool) -> None:
    """INT8 has to beat FP32 by the needed factor, and both times are reported."""
    monkeypatch.setattr(quantization, "NEEDED_SPEEDUP", needed)
    monkeypatch.setattr(quantization, "RUNS", 5)
    ranker = small_ranker()
    model, trial = faster_ranker(ranker_model(ranker), feeds_for(ranker))
    assert trial.kept == kept == (int8_products(model) > 0)
    assert min(trial.fp32_us, trial.int8_us) > 0


def test_int8_products_keep_the_scores_close(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they are used, they change scores by less than half."""
    monkeypatch.setattr(quantization, "NEEDED_SPEEDUP", 0.0)
    monkeypatch.setattr(quantization, "RUNS", 5)
    ranker = small_ranker()
    feeds = feeds_for(ranker)
    model, _ = faster_ranker(ranker_model(ranker), feeds)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    error = np.abs(session.run([tensors.SCORES], feeds)[0] - reference_scores(ranker, requests_for(ranker)))
    assert 0 < error.max() < 0.5
