"""The oracle of the simulated shop."""

from dataclasses import replace
from pathlib import Path

import pytest

from model_export.__main__ import main
from model_export.errors import CommandError
from model_export.evaluation.evaluation import EvaluationOptions, evaluate
from model_export.evaluation.questions import Questions
from model_export.evaluation.report import write_report
from model_export.evaluation.subject import oracle_of, subject_of_data


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    """Simulate a small shop."""
    folder = tmp_path_factory.mktemp("shop")
    assert main(["simulate", "--output", str(folder), "--users", "200", "--items", "150", "--seed", "5"]) == 0
    return folder


def test_the_oracle_is_the_best_in_the_table(shop: Path, tmp_path: Path) -> None:
    """Evaluating simulated data puts the oracle in the JSON, ahead of every baseline."""
    out = tmp_path / "e.json"
    assert main(["evaluate", "--data", str(shop), "--baselines", "popularity,item-kNN", "--json", str(out)]) == 0
    import json

    found = json.loads(out.read_text("utf-8"))
    assert list(found) == ["popularity", "item-kNN", "oracle"]
    assert found["oracle"]["NDCG@10"] > max(found["popularity"]["NDCG@10"], found["item-kNN"]["NDCG@10"])


def test_the_oracle_answers_test_questions_alone(shop: Path) -> None:
    """Asked with the validation set it says that it cannot."""
    subject = subject_of_data(shop)
    oracle = oracle_of(subject)
    assert oracle is not None
    with pytest.raises(CommandError, match="test set alone"):
        oracle.scores(Questions.of(subject.data, subject.split.validation))


def test_nothing_to_evaluate_is_one_sentence(capsys) -> None:
    """Without a run, a bundle or data the command ends with 2 and says what it expects."""
    assert main(["evaluate"]) == 2
    assert "expected --run" in capsys.readouterr().err


def test_our_share_of_the_oracle_is_over_users_with_five_events(shop: Path, tmp_path: Path) -> None:
    """The oracle itself, evaluated as ours, has a share of 1, and the report says so."""
    subject = subject_of_data(shop)
    ours = oracle_of(subject)
    ours.name = "seqrank"
    told = replace(subject, ours_S=[ours])
    evaluation = evaluate(told, EvaluationOptions(baselines="none", deep=False))
    assert evaluation.models["seqrank"]["share_of_oracle"] == 1.0
    assert "**100.0%**" in write_report(tmp_path, evaluation).read_text("utf-8")
