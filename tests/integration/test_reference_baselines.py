"""The baselines reproduce the reference numbers on ml-100k."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from model_export.__main__ import main

RAW = Path(__file__).parents[2] / "../shared/data/ml-100k"
REFERENCE = {
    "popularity": {"HR@10": 0.0838, "NDCG@10": 0.0432, "MRR@10": 0.0309},
    "EASE": {"HR@10": 0.1432, "NDCG@10": 0.0711, "MRR@10": 0.0495},
}
"""Measured elsewhere, fitted on the training events alone, masked, over the full catalogue."""


@pytest.mark.shared_data
def test_popularity_and_ease_have_the_reference_numbers(tmp_path: Path) -> None:
    """Fitted on train alone they give the reference's digits; without the data set, a generated shop's order holds."""
    out = tmp_path / "e.json"
    if RAW.is_dir():
        command = ["prepare", "--format", "recbole", "--input", str(RAW), "--output", str(tmp_path / "data")]
    else:
        command = ["simulate", "--output", str(tmp_path / "data"), "--users", "150", "--items", "120", "--seed", "1"]
    assert main(command) == 0
    arguments = ["evaluate", "--data", str(tmp_path / "data"), "--known", "train", "--baselines", "popularity,EASE"]
    assert main([*arguments, "--json", str(out)]) == 0
    found = json.loads(out.read_text("utf-8"))
    if RAW.is_dir():
        assert {name: {key: round(found[name][key], 4) for key in REFERENCE[name]} for name in REFERENCE} == REFERENCE
    else:
        assert found["EASE"]["NDCG@10"] > found["popularity"]["NDCG@10"]
