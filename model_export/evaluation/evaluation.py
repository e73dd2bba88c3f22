"""The story of one evaluation: fit the baselines, ask everybody the same questions, compare."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from model_export.errors import CommandError
from model_export.evaluation.baselines.suite import baselines_for, fit_for_test, fit_for_validation
from model_export.evaluation.comparison import ORACLE, OURS, Answers, as_json
from model_export.evaluation.deep_dive import DeepDive, deep_dive
from model_export.evaluation.questions import Questions
from model_export.evaluation.ranks import rank_answers
from model_export.evaluation.subject import Subject, oracle_of

if TYPE_CHECKING:
    from model_export.evaluation.baselines.suite import Baseline, FittedBaseline
    from model_export.evaluation.scorers import CatalogScorer


KNOWN_EVENTS: Final = 5
"""A user with fewer events has not shown enough to be compared with an oracle that knows everything."""


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """What is asked for.

    Attributes:
        test: The test set, else the validation set.
        baselines: ``all``, ``none`` or names with commas.
        baselines_know_validation: On the test set, whether baselines are fitted on the validation events too.
        sample: How many questions, seeded; None for all.
        deep: Also slices, cold users, diversity and calibration, for the report.
    """

    test: bool = True
    baselines: str = "all"
    baselines_know_validation: bool = True
    sample: int | None = None
    deep: bool = True

    @property
    def validation_is_known(self) -> bool:
        """Whether baselines are fitted on the validation events."""
        return self.test and self.baselines_know_validation


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What came out.

    Attributes:
        subject: What was evaluated.
        questions: What was asked.
        options: What was asked for.
        models: The evaluation JSON: model name to its object; ours first, then baselines, then the oracle.
        dive: The parts beyond the main table; None unless asked for.
    """

    subject: Subject
    questions: Questions
    options: EvaluationOptions
    models: dict[str, dict[str, Any]]
    dive: DeepDive | None


def evaluate(subject: Subject, options: EvaluationOptions) -> Evaluation:
    """Run the whole evaluation, saying on standard output what it is doing."""
    questions = _questions(subject, options)
    answers, scorers = _asked(subject, questions, options)
    models = {one.name: as_json(one, subject.vectors_ND, answers[1:] if one.name == OURS else []) for one in answers}
    if {OURS, ORACLE} <= models.keys():
        models[OURS]["share_of_oracle"] = _share_of_oracle(questions, answers[0], answers[-1])
    dive = None
    if options.deep:
        dive = deep_dive(subject, questions, answers, scorers, validation_is_known=options.validation_is_known)
        if OURS in models:
            models[OURS] |= dive.as_json()
    return Evaluation(subject, questions, options, models, dive)


def _questions(subject: Subject, options: EvaluationOptions) -> Questions:
    questions = Questions.of(subject.data, subject.split.test if options.test else subject.split.validation)
    if not len(questions):
        raise CommandError("the split holds nothing to ask, expected users with at least three events")
    return questions if options.sample is None else questions.sampled(options.sample, np.random.default_rng(0))


def _share_of_oracle(questions: Questions, ours: Answers, oracle: Answers) -> float:
    """Return our NDCG@10 over the oracle's, for questions with at least `KNOWN_EVENTS` events; 0 if there are none."""
    known_T = questions.history_lengths >= KNOWN_EVENTS
    best = float(oracle.values("NDCG@10")[known_T].sum())
    return float(ours.values("NDCG@10")[known_T].sum()) / best if best else 0.0


def _asked(
    subject: Subject, questions: Questions, options: EvaluationOptions
) -> tuple[list[Answers], dict[str, CatalogScorer]]:
    """Return everybody's answers, ours first and the oracle last, and the scorers that may be asked again."""
    answers: list[Answers] = []
    scorers: dict[str, CatalogScorer] = {}
    if subject.ours_S:
        ranks_S = [_timed(f"asking {OURS}", rank_answers, scorer, questions) for scorer in subject.ours_S]
        answers.append(Answers(OURS, ranks_S, subject.note))
        scorers[OURS] = subject.ours_S[0]
    known = "fitted on train + validation" if options.validation_is_known else "fitted on train"
    for baseline in _chosen(subject, options.baselines):
        fitted = _timed(f"fitting {baseline.name}", _fitted, baseline, subject, options)
        ranks = _timed(f"asking {baseline.name}", rank_answers, fitted.scorer, questions)
        answers.append(Answers(baseline.name, [ranks], known, {"settings": fitted.settings}))
        if options.deep:
            scorers[baseline.name] = fitted.scorer
    oracle = oracle_of(subject) if options.test else None
    if oracle is not None:
        ranks = _timed("asking the oracle", rank_answers, oracle, questions)
        answers.append(Answers(ORACLE, [ranks], "knows the simulation's true probabilities"))
    return answers, scorers


def _chosen(subject: Subject, names: str) -> list[Baseline]:
    available = {baseline.name: baseline for baseline in baselines_for(subject.data)}
    if names == "all":
        return list(available.values())
    wanted = [] if names == "none" else [name.strip() for name in names.split(",")]
    unknown = [name for name in wanted if name not in available]
    if unknown:
        raise CommandError(
            f"there is no baseline {unknown[0]!r} for this data, expected some of {', '.join(available)}"
        )
    return [available[name] for name in wanted]


def _fitted(baseline: Baseline, subject: Subject, options: EvaluationOptions) -> FittedBaseline:
    fit = fit_for_test if options.validation_is_known else fit_for_validation
    return fit(baseline, subject.data, subject.split)


def _timed(what: str, function: Any, *arguments: Any) -> Any:
    started_s = time.monotonic()
    print(f"{what} ...", end=" ", flush=True)
    result = function(*arguments)
    print(f"{time.monotonic() - started_s:.1f} s", flush=True)
    return result
