"""One evaluation from data to report."""

import json

import numpy as np
import pytest

from model_export.__main__ import main
from model_export.errors import CommandError
from model_export.evaluation.baselines.popularity import Popularity
from model_export.evaluation.best_first import rescored
from model_export.evaluation.comparison import OURS, Answers, as_json
from model_export.evaluation.deep_dive import calibration_questions
from model_export.evaluation.evaluation import EvaluationOptions, evaluate
from model_export.evaluation.questions import Questions
from model_export.evaluation.ranks import Ranks
from model_export.evaluation.report import write_report
from model_export.evaluation.subject import Subject, text_vectors
from model_export.evaluation.tables import significance_table


class GroupScorer:
    """Knows each user's group, and one more thing with a seed: which group-mate the user likes."""

    name = OURS

    def __init__(self, seed: int) -> None:
        self.noise_N = np.random.default_rng(seed).random(61)

    def scores(self, questions):
        """Return a high score for the group of the first visible item."""
        group_N = (np.arange(61) - 1) // 10
        group_T = (questions.data.rows[questions.data.user_offsets[questions.targets.users]] - 1) // 10
        return np.log(0.01 + (group_N[None, :] == group_T[:, None])) + 0.01 * self.noise_N[None, :]


@pytest.fixture(scope="module")
def evaluation(taste_shop):
    """Evaluate two seeds of a scorer that knows the groups, with two baselines."""
    data, split = taste_shop
    subject = Subject(data, split, [GroupScorer(0), GroupScorer(1)], "told", text_vectors(data), "words")
    return evaluate(subject, EvaluationOptions(baselines="popularity,recent popularity"))


def test_ours_comes_first_with_every_key(evaluation) -> None:
    """The JSON has one object a model, ours under its name, with metrics, intervals and comparisons."""
    assert list(evaluation.models) == ["seqrank", "popularity", "recent popularity"]
    ours = evaluation.models["seqrank"]
    low, high = ours["intervals"]["NDCG@10"]
    assert low < ours["NDCG@10"] < high
    assert set(ours["against"]) == {"popularity", "recent popularity"}
    assert ours["against"]["popularity"]["NDCG@10"]["p_value"] < 0.01
    assert len(ours["seeds"]) == 2
    for found in evaluation.models.values():
        assert {"HR@10", "NDCG@10", "MRR@10", "Precision@10", "Recall@10", "F1@10", "Accuracy", "AUC"} <= set(found)


def test_the_json_is_plain(evaluation) -> None:
    """Everything in the JSON is made of plain numbers, strings and lists."""
    assert json.loads(json.dumps(evaluation.models)) == evaluation.models


def test_the_report_shows_every_picture_that_it_names(evaluation, tmp_path) -> None:
    """The page states the result in words, and each picture that it refers to is a PNG beside it."""
    page = write_report(tmp_path / "report", evaluation)
    text = page.read_text("utf-8")
    pictures = {line.split("](")[1].rstrip(")") for line in text.splitlines() if line.startswith("![")}
    assert pictures == {path.name for path in page.parent.glob("*.png")}
    assert {"ranking.png", "diversity.png", "calibration.png"} <= pictures
    assert f"{evaluation.models['seqrank']['HR@10']:.1%} of the cases" in text
    assert "does not beat" not in text


def test_the_report_says_plainly_that_a_baseline_is_not_beaten(taste_shop, tmp_path) -> None:
    """Who reads the first lines alone learns that ours is no better."""
    data, split = taste_shop
    lost = Subject(data, split, [Popularity.fit(data, split.train_ends)], "told", text_vectors(data), "words")
    page = write_report(tmp_path, evaluate(lost, EvaluationOptions(baselines="item-kNN", deep=False)))
    assert "**Ours does not beat item-kNN here.**" in page.read_text("utf-8").partition("## ")[0]


def test_an_unknown_baseline_is_refused(taste_shop) -> None:
    """A baseline that there is not is an error that lists those that there are."""
    data, split = taste_shop
    with pytest.raises(CommandError, match=r"'magic'.*item-kNN"):
        evaluate(Subject(data, split, [], "", text_vectors(data), "words"), EvaluationOptions(baselines="magic"))


def test_a_sample_asks_fewer(taste_shop) -> None:
    """A sample of 50 questions asks 50."""
    data, split = taste_shop
    subject = Subject(data, split, [], "", text_vectors(data), "words")
    found = evaluate(subject, EvaluationOptions(baselines="popularity", sample=50, deep=False))
    assert found.models["popularity"]["questions"] == 50


def test_the_best_are_rescored_and_stay_on_top() -> None:
    """The second stage orders the best of the first; all others keep their order below."""
    cheap = np.array([[0.0, 5.0, 4.0, 3.0, 2.0]], np.float32)
    eligible = np.array([[-np.inf, -np.inf, 4.0, 3.0, 2.0]], np.float32)
    full = {2: -9.0, 3: -7.0}
    found = rescored(cheap, eligible, 2, lambda rows: np.vectorize(full.get)(rows).astype(np.float32))
    assert np.argsort(-found[0]).tolist() == [3, 2, 1, 4, 0]
    assert found[0, [2, 3]].tolist() == [-9.0, -7.0]


@pytest.mark.parametrize("device", ["foo", "cuda"])
def test_a_device_without_a_run_is_refused(device, tmp_path, capsys):
    """Only a run is scored on a device, so naming one for baselines alone is a mistake."""
    assert main(["evaluate", "--data", str(tmp_path), "--device", device]) == 2
    assert f"--device is '{device}', but only --run is scored there" in capsys.readouterr().err


def test_a_device_that_does_not_exist_is_refused(tmp_path, capsys):
    """With a run the device must be one."""
    assert main(["evaluate", "--run", str(tmp_path), "--device", "foo"]) == 2
    assert "the device is 'foo', expected auto, cpu, cuda or cuda:N" in capsys.readouterr().err


def test_a_rival_at_0_leaves_valid_json() -> None:
    """There is no relative difference to 0, and JSON has no infinity; the table says so."""
    ranks = (Ranks(np.full(9, rank), np.full(9, rank), np.ones(9), np.ones((9, 20), np.int64)) for rank in (1, 99))
    ours, rival = (Answers(name, [one]) for name, one in zip((OURS, "poor"), ranks, strict=True))
    found = as_json(ours, np.ones((3, 2), np.float32), [rival])
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert "against 0" in significance_table(found)


def test_probabilities_are_checked_on_other_questions_than_they_are_fitted_on(taste_shop) -> None:
    """On test, on validation and on a sample of either, no question serves for both."""
    data, split = taste_shop
    subject = Subject(data, split, [], "", text_vectors(data), "words")
    for questions in (
        Questions.of(data, split.test),
        Questions.of(data, split.validation),
        Questions.of(data, split.validation.take(np.arange(20))),
    ):
        fitting, checking = calibration_questions(subject, questions)
        assert len(fitting)
        assert len(checking)
        assert not set(fitting.targets.events.tolist()) & set(checking.targets.events.tolist())
