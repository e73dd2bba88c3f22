"""Searching settings."""

from __future__ import annotations

import optuna
import pytest

from model_export.__main__ import main
from model_export.run_config import ModelConfig, RunConfig
from model_export.training.tuning import report, searched, suggested


def test_what_the_file_sets_is_not_searched():
    """A width of 32 stays; everything else of the space is suggested."""
    config = RunConfig(model=ModelConfig(width=32))
    assert "model.width" not in searched(config)
    assert {"model.dropout", "model.encoder"} <= searched(config).keys()


def test_a_suggestion_becomes_a_configuration():
    """Values land in their sections."""
    values = {
        "model.encoder": "gru", "model.width": 64, "model.vector_width": 128, "model.blocks": 1,
        "model.history_length": 20, "model.dropout": 0.0, "model.delta_bound": 0.1, "model.id_dropout": 0.0,
        "model.interests": 1, "training.learning_rate": 2e-4, "training.weight_decay": 1e-4,
    }  # fmt: skip
    assert values.keys() == searched(RunConfig()).keys()
    config = suggested(RunConfig(), optuna.trial.FixedTrial(values))
    assert (config.model.encoder, config.model.width, config.model.blocks) == ("gru", 64, 1)
    assert config.training.learning_rate == 2e-4


def test_the_report_lists_the_best_first():
    """One row a trial, the highest validation NDCG@10 on top."""
    study = optuna.create_study(direction="maximize")
    for value in (0.1, 0.3):
        study.add_trial(optuna.trial.create_trial(value=value))
    rows = [line for line in report(study).splitlines() if line.startswith(("| 0", "| 1"))]
    assert [row.split("|")[3].strip() for row in rows] == ["0.3", "0.1"]


@pytest.mark.parametrize("file", [None, "report.md"])
def test_a_study_that_cannot_begin_writes_nothing(file, tmp_path, capsys):
    """Missing data, or a folder of somebody else, is refused before the study's folder is made or touched."""
    study = tmp_path / "study"
    if file is not None:
        study.mkdir()
        (study / file).write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    assert main(["tune", "--data", str(tmp_path / "nope"), "--output", str(study), "--trials", "1"]) == 2
    assert ("has no items.parquet" if file is None else "holds 'report.md'") in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before
