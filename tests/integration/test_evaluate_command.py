"""The evaluate command on a run that the train command wrote."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model_export.__main__ import main
from model_export.data.dataset import read_dataset
from model_export.data.impressions import IMPRESSIONS_SCHEMA
from model_export.data.splits import leave_one_out
from model_export.training.trained_run import load_trained_run
from model_export.training.validation import masked_ranks, ndcg_at
from tests.small_run import write_bert

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """
[model]
width = 16
vector_width = 16
history_length = 10

[text]
width = 8
max_tokens = 8

[training]
max_epochs = 2
positions_per_batch = 64
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write 60 users of 30 items, and what a few of them were shown."""
    folder = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    rows = [random.permutation(30)[:8] for _ in range(60)]
    events = {
        "user_id": [f"u{user}" for user in range(60) for _ in range(8)],
        "item_id": [f"i{item}" for user in rows for item in user],
        "action": ["view"] * 480,
        "timestamp": (1_600_000_000_000 + np.cumsum(random.integers(1000, 90_000_000, 480))).tolist(),
        "rating": pa.nulls(480, pa.float64()),
    }
    pq.write_table(pa.table(events), folder / "interactions.parquet")
    items = {"item_id": [f"i{item}" for item in range(30)], "text": [f"old shoes {item}" for item in range(30)]}
    pq.write_table(pa.table(items), folder / "items.parquet")
    shown = [
        {"part": "dev", "impression_id": str(n), "user_id": "u1", "timestamp": 1_900_000_000_000,
         "history": ["i1", "i2"][: n % 3], "candidates": ["i3", "i4", "i5"], "clicked": [True, False, False]}
        for n in range(6)
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(shown, IMPRESSIONS_SCHEMA), folder / "impressions.parquet")
    return folder


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train for two epochs over a small random BERT."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "config.toml").write_text(CONFIG)
    command = ["train", "--data", str(data), "--run", str(folder / "run"), "--config", str(folder / "config.toml")]
    assert main([*command, "--encoder", str(write_bert(folder / "bert")), "--device", "cpu"]) == 0
    return folder / "run"


def test_evaluate_agrees_with_training(run: Path, data: Path, tmp_path: Path) -> None:
    """NDCG@10 of the JSON is what training's own ranks of the same model give, and the report lies in the run."""
    out = tmp_path / "e.json"
    assert main(["evaluate", "--run", str(run), "--baselines", "popularity", "--json", str(out)]) == 0
    prepared = read_dataset(data)
    ranks = masked_ranks(load_trained_run(run).model, prepared, leave_one_out(prepared).test)
    ours = json.loads(out.read_text("utf-8"))["seqrank"]
    assert ours["NDCG@10"] == pytest.approx(ndcg_at(ranks, 10))
    assert ours["note"] == "trained on train + validation (refit)"
    assert {"ECE@20", "log_loss@20", "fit"} <= set(ours["calibration"])
    assert (run / "evaluation" / "report.md").is_file()


def test_validation_questions_are_asked_of_the_model_that_has_not_seen_them(
    run: Path, data: Path, tmp_path: Path
) -> None:
    """On the validation set the numbers are those of the selected model, not of its refit."""
    out = tmp_path / "e.json"
    arguments = ["evaluate", "--run", str(run), "--split", "validation", "--baselines", "none", "--json", str(out)]
    assert main(arguments) == 0
    prepared = read_dataset(data)
    selected = load_trained_run(run, selected=True).model
    ranks = masked_ranks(selected, prepared, leave_one_out(prepared).validation)
    ours = json.loads(out.read_text("utf-8"))["seqrank"]
    assert ours["NDCG@10"] == pytest.approx(ndcg_at(ranks, 10))
    assert ours["note"] == "trained on train"


def test_several_runs_are_seeds_of_one_model(run: Path, tmp_path: Path) -> None:
    """Two run folders give their mean and list both."""
    out = tmp_path / "e.json"
    arguments = ["evaluate", "--run", str(run), str(run), "--baselines", "popularity", "--users", "40"]
    assert main([*arguments, "--json", str(out)]) == 0
    ours = json.loads(out.read_text("utf-8"))["seqrank"]
    assert len(ours["seeds"]) == 2
    assert ours["NDCG@10"] == pytest.approx(np.mean([seed["NDCG@10"] for seed in ours["seeds"]]))


def test_impressions_are_measured(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With impressions the JSON has AUC, MRR and nDCG over those with a click."""
    out = tmp_path / "e.json"
    arguments = ["evaluate", "--run", str(run), "--baselines", "none", "--impressions", "dev", "--json", str(out)]
    assert main(arguments) == 0
    found = json.loads(out.read_text("utf-8"))["seqrank"]["impressions"]
    assert found["impressions"] == 6
    assert 0 <= found["auc"] <= 1
    assert "6 impressions of dev" in capsys.readouterr().out


def test_impressions_from_before_the_end_of_training_are_refused(
    run: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run's training knows clicks of that time, so nothing honest can be measured."""
    shown = pq.read_table(data / "impressions.parquet")
    early = shown.set_column(3, "timestamp", pa.array([1_600_000_000_000] * len(shown)))
    pq.write_table(early, data / "impressions.parquet")
    try:
        assert main(["evaluate", "--run", str(run), "--baselines", "none", "--impressions", "dev"]) == 2
    finally:
        pq.write_table(shown, data / "impressions.parquet")
    assert "train with --split temporal" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--data", "--bundle", "--division"])
def test_what_a_run_knows_itself_is_not_given_beside_it(
    option: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One of the two would be ignored."""
    value = "temporal" if option == "--division" else str(run)
    assert main(["evaluate", "--run", str(run), option, value]) == 2
    assert f"{option} does not go with --run" in capsys.readouterr().err
