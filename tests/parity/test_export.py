"""An exported bundle is the trained module, in every precision within its named tolerance, or it is not published."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from app.contract.manifest import ITEM_ENCODER_FILE, PRECISIONS
from app.contract.tolerances import ENCODER_MIN_COSINE, TOLERANCES
from app.inference.bundle import Bundle, open_bundle
from model_export.errors import ExportError
from model_export.onnx_export import draft, parity
from model_export.onnx_export.certificate_table import certificate_table
from model_export.onnx_export.encoder_graph import EncoderExport
from model_export.onnx_export.exporter import ExportOptions, export_run
from tests.small_run import ITEMS, small_run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from model_export.training.trained_run import TrainedRun


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    """Return a small run."""
    return small_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def exported(run: TrainedRun, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return the path of the run's bundle in a precision; each is exported once."""
    folder = tmp_path_factory.mktemp("bundles")

    def path_of(precision: str) -> Path:
        path = folder / precision
        if not path.exists():
            export_run(run, run.model, path, ExportOptions(precision=precision), say=lambda _: None)
        return path

    return path_of


@pytest.fixture(scope="module", params=PRECISIONS)
def bundle(request: pytest.FixtureRequest, exported: Callable[[str], Path]) -> Bundle:
    """Return the run's bundle in one precision, opened by the class that serves."""
    return open_bundle(exported(request.param), provider="cpu")


def test_the_certificate_keeps_every_tolerance(bundle: Bundle) -> None:
    """Score error, top-10 agreement and NDCG change of the manifest lie within the precision's limits."""
    limits, record = TOLERANCES[bundle.manifest.precision], bundle.manifest.parity
    assert record["max_score_error"] <= limits.max_score_error
    assert record["top10_agreement"] >= limits.min_top10_agreement
    assert record["ndcg_change_low"] <= record["ndcg_change"] <= record["ndcg_change_high"]
    assert abs(record["ndcg_change"]) <= limits.max_ndcg_change


def test_the_manifest_says_what_was_exported(bundle: Bundle, run: TrainedRun) -> None:
    """Counts, actions, objectives, tensors and versions are there for whoever opens the bundle."""
    manifest = bundle.manifest
    assert (manifest.item_count, manifest.actions, manifest.objectives) == (ITEMS, run.data.actions, run.outcomes.names)
    assert {"python", "torch", "onnxruntime", "transformers"} <= set(manifest.versions)
    assert [entry["name"] for entry in manifest.tensors["ranker.onnx"]["outputs"]] == ["scores"]
    assert manifest.training_data["fingerprint"] == run.data.fingerprint
    assert "NDCG@10" in manifest.metrics
    assert manifest.calibration["kind"] in {"platt", "piecewise-linear"}


def test_no_intermediate_comes_near_overflow(bundle: Bundle) -> None:
    """The scan saw the graph's tensors, and float16 ones stay far below 65,504."""
    scan = bundle.manifest.parity["scan_ranker"]
    assert scan["tensors"] > 40
    assert scan["largest_half"] < 20_000
    assert (scan["largest_half"] > 0) == (bundle.manifest.precision == "fp16")


def test_an_item_put_in_again_stays_where_it_was(bundle: Bundle, run: TrainedRun) -> None:
    """What the bundle's own encoder makes of an unchanged text points where the table's vector points."""
    with torch.inference_mode():
        deltas = run.model.item_deltas().numpy()
    again = bundle.encoder.encode(run.data.item_texts()) + deltas[1:]
    table = bundle.item_table[1:].astype(np.float32)
    cosines = (again * table).sum(axis=1) / np.linalg.norm(again, axis=1) / np.linalg.norm(table, axis=1)
    assert cosines.min() >= ENCODER_MIN_COSINE[bundle.manifest.precision]


def test_the_certificate_can_be_shown(bundle: Bundle) -> None:
    """The table has a column for the bundle and names its numbers."""
    table = certificate_table([bundle.manifest])
    assert f"| version | {bundle.manifest.version} |" in table
    assert "| top-10 agreement |" in table


def test_a_missed_tolerance_publishes_nothing_and_names_the_layer(
    run: TrainedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exported: Callable[[str], Path]
) -> None:
    """An export outside its tolerance fails with a sentence, and the folder is not there."""
    encoder = exported("fp16") / ITEM_ENCODER_FILE

    def copied_encoder(_module: object, _tokenizer: object, path: Path, **_: object) -> EncoderExport:
        shutil.copy(encoder, path)
        return EncoderExport(23, {}, {})

    monkeypatch.setattr(draft, "export_item_encoder", copied_encoder)
    strict = replace(TOLERANCES["fp16"], max_score_error=1e-9)
    monkeypatch.setitem(parity.TOLERANCES, "fp16", strict)
    with pytest.raises(ExportError, match=r"the fp16 bundle is refused: the largest score error is .* arises at "):
        export_run(run, run.model, tmp_path / "bundle", ExportOptions(precision="fp16"), say=lambda _: None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("factor", "sentence"),
    [
        (1e5, r"ranker\.onnx: encoder\.blocks\.0\.contract is not finite on a golden request"),
        (1e7, r"encoder\.blocks\.0\.contract holds .*, which float16 cannot hold"),
    ],
)
def test_a_layer_that_overflows_half_precision_is_named(
    run: TrainedRun, tmp_path: Path, factor: float, sentence: str
) -> None:
    """A layer whose results or weights leave the range of float16 stops the export with its name."""
    weight = run.model.encoder.blocks[0].contract.weight
    before = weight.detach().clone()
    with torch.no_grad():
        weight.mul_(factor)
    try:
        with pytest.raises(ExportError, match=sentence):
            export_run(run, run.model, tmp_path / "bundle", ExportOptions(precision="fp16"), say=lambda _: None)
    finally:
        with torch.no_grad():
            weight.copy_(before)
    assert list(tmp_path.iterdir()) == []
