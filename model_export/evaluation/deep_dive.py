"""What a report shows beyond the main table: slices, cold users and items, diversity, calibration."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from model_export.evaluation.calibration_fit import Reliability, fit_calibration, reliability, scored_pairs
from model_export.evaluation.comparison import ORACLE, OURS, Answers
from model_export.evaluation.diversity_curve import DiversityPoint, diversity_curve
from model_export.evaluation.drift import DriftPoint, GateReader, gate_after_drift
from model_export.evaluation.questions import Questions
from model_export.evaluation.slices import (
    SliceResult,
    by_answer_popularity,
    by_history_length,
    cold_protocol,
    cold_users,
    slice_results,
)
from model_export.evaluation.subject import drift_of

if TYPE_CHECKING:
    from model_export.evaluation.scorers import CatalogScorer
    from model_export.evaluation.subject import Subject

COLD_RIVALS: Final = ("recent popularity", "text similarity")
_MOST_COLD_USERS: Final = 5000


@dataclass(frozen=True, slots=True)
class DeepDive:
    """What was found.

    Attributes:
        slices: Title to model name to its rows.
        diversity: NDCG@10 against variety at several settings, of ours.
        reliability_listed: Calibration over the first 20 of each list; None without a model of ours.
        reliability_all: The same over the whole catalogue.
        calibration: What the manifest's ``calibration`` would hold.
        drift: Our gate around a change of tastes; empty where none is known.
    """

    slices: dict[str, dict[str, list[SliceResult]]]
    diversity: list[DiversityPoint] = field(default_factory=list)
    reliability_listed: Reliability | None = None
    reliability_all: Reliability | None = None
    calibration: dict[str, Any] = field(default_factory=dict)
    drift: list[DriftPoint] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return what our object of the evaluation JSON gains."""
        found: dict[str, Any] = {
            "slices": {
                title: [asdict(row) for row in models[OURS]] for title, models in self.slices.items() if OURS in models
            },
            "diversity_curve": [asdict(point) for point in self.diversity],
        }
        if self.drift:
            found["gate_after_drift"] = [asdict(point) for point in self.drift]
        if self.reliability_listed is not None and self.reliability_all is not None:
            found["calibration"] = {
                "ECE@20": self.reliability_listed.expected_error,
                "log_loss@20": self.reliability_listed.log_loss,
                "ECE": self.reliability_all.expected_error,
                "log_loss": self.reliability_all.log_loss,
                "fit": self.calibration,
            }
        return found


def deep_dive(
    subject: Subject,
    questions: Questions,
    answers: list[Answers],
    scorers: dict[str, CatalogScorer],
    *,
    validation_is_known: bool,
) -> DeepDive:
    """Look closer at ours and at the strongest rivals.

    Args:
        subject: What is evaluated.
        questions: What was asked.
        answers: Everybody's answers.
        scorers: Those that may be asked again, by name.
        validation_is_known: Whether the models know the validation events.
    """
    slices = _slices(subject, questions, answers, validation_is_known=validation_is_known)
    slices |= _cold(subject, questions, scorers)
    if OURS not in scorers:
        return DeepDive(slices)
    ours = scorers[OURS]
    print("diversity and calibration ...", flush=True)
    fitting, checking = calibration_questions(subject, questions)
    calibration = fit_calibration(scored_pairs(subject.unaware_of_validation or ours, fitting))
    pairs = scored_pairs(ours, checking, seed=1)
    return DeepDive(
        slices,
        diversity=diversity_curve(ours, questions, subject.vectors_ND),
        reliability_listed=reliability(calibration, pairs, listed_only=True),
        reliability_all=reliability(calibration, pairs, listed_only=False),
        calibration=calibration.to_manifest(),
        drift=_drift(subject, ours),
    )


def _drift(subject: Subject, ours: CatalogScorer) -> list[DriftPoint]:
    drift_U = drift_of(subject)
    if drift_U is None or not isinstance(ours, GateReader):
        return []
    return gate_after_drift(ours, subject.data, drift_U)


def _slices(
    subject: Subject, questions: Questions, answers: list[Answers], *, validation_is_known: bool
) -> dict[str, dict[str, list[SliceResult]]]:
    shown = _ours_and_best_rivals(answers)
    ends_U = subject.split.refit_ends if validation_is_known else subject.split.train_ends
    kinds = {
        "By length of the history": by_history_length(questions),
        "By popularity of the answer": by_answer_popularity(questions, ends_U),
    }
    return {
        title: {one.name: slice_results(one.ranks_S[0].masked_T, masks, subject.data.item_count) for one in shown}
        for title, masks in kinds.items()
    }


def _ours_and_best_rivals(answers: list[Answers]) -> list[Answers]:
    """Return ours and the two best others, the oracle left out: more columns nobody reads."""
    rivals = [one for one in answers if one.name not in (OURS, ORACLE)]
    rivals.sort(key=lambda one: -float(one.values("NDCG@10").mean()))
    return [one for one in answers if one.name == OURS] + rivals[:2]


def _cold(
    subject: Subject, questions: Questions, scorers: dict[str, CatalogScorer]
) -> dict[str, dict[str, list[SliceResult]]]:
    asked = [name for name in (OURS, *COLD_RIVALS) if name in scorers]
    if not asked:
        return {}
    few = questions.sampled(_MOST_COLD_USERS, np.random.default_rng(2))
    print("cold users and items ...", flush=True)
    found: dict[str, dict[str, list[SliceResult]]] = {
        "Cold users: how much of each history is visible": {name: cold_users(scorers[name], few) for name in asked}
    }
    if len(subject.split.cold_rows):
        found["Cold items: never seen in training"] = {
            name: cold_protocol(scorers[name], questions, subject.split.cold_rows) for name in asked
        }
    return found


def calibration_questions(subject: Subject, questions: Questions) -> tuple[Questions, Questions]:
    """Return what to fit on and what to check on, never the same.

    Those are validation questions that are not asked, and what is asked; halves of the latter where all are asked.
    """
    validation = Questions.of(subject.data, subject.split.validation)
    others = validation.subset(np.flatnonzero(~np.isin(validation.targets.events, questions.targets.events)))
    if len(others):
        return others, questions
    halves = np.random.default_rng(3).permutation(len(questions))
    middle = len(questions) // 2
    return questions.subset(np.sort(halves[:middle])), questions.subset(np.sort(halves[middle:]))
