"""Several models on the same questions: their numbers, their intervals, and which differences are real."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from model_export.evaluation.bootstrap import Difference, difference_across_seeds, interval, paired_difference
from model_export.evaluation.coverage import ListQuality, list_quality
from model_export.evaluation.metrics import summary, unmasked_summary, values_of_metric

if TYPE_CHECKING:
    from app.contract.tensors import Float32Array, FloatArray
    from model_export.evaluation.ranks import Ranks

OURS: Final = "seqrank"
ORACLE: Final = "oracle"
HEADLINE: Final = ("HR@10", "NDCG@10", "MRR@10")
INTERVALS: Final = ("HR@5", "NDCG@5", "HR@10", "NDCG@10", "MRR@10", "HR@20", "NDCG@20", "Accuracy")
_LIST_LENGTH: Final = 10


@dataclass(frozen=True, slots=True)
class Answers:
    """One model's answers.

    Attributes:
        name: In tables and JSON.
        ranks_S: One `Ranks` a training seed; most models have one.
        note: What a reader should know: settings, what it was trained on.
    """

    name: str
    ranks_S: list[Ranks]
    note: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    def values(self, key: str) -> FloatArray:
        """Return ``float64[T]``, the metric of each question, mean over the seeds."""
        mean_T: FloatArray = self.values_by_seed(key).mean(axis=0)
        return mean_T

    def values_by_seed(self, key: str) -> FloatArray:
        """Return ``float64[S, T]``."""
        values_ST: FloatArray = np.stack([values_of_metric(ranks, key).astype(np.float64) for ranks in self.ranks_S])
        return values_ST


def difference(ours: Answers, theirs: Answers, key: str) -> Difference:
    """Compare two models by the paired bootstrap, over the seeds too where ours has several."""
    if len(ours.ranks_S) > 1:
        return difference_across_seeds(ours.values_by_seed(key), theirs.values(key))
    return paired_difference(ours.values(key), theirs.values(key))


def as_json(answers: Answers, vectors_ND: Float32Array, rivals: list[Answers]) -> dict[str, Any]:
    """Return one model's object of the evaluation JSON.

    Args:
        answers: The model.
        vectors_ND: The item vectors in which list diversity is measured.
        rivals: The models that it is compared with.
    """
    summaries = [summary(ranks) for ranks in answers.ranks_S]
    result: dict[str, Any] = {key: float(np.mean([one[key] for one in summaries])) for key in summaries[0]}
    result["questions"] = len(answers.ranks_S[0].masked_T)
    result["note"] = answers.note
    if result["questions"]:
        result["intervals"] = {key: _bounds(answers.values(key)) for key in INTERVALS}
    result["unmasked"] = unmasked_summary(answers.ranks_S[0])
    result["lists"] = asdict(quality_of(answers, vectors_ND))
    if len(summaries) > 1:
        result["seeds"] = [{key: one[key] for key in HEADLINE} for one in summaries]
    result["against"] = {
        rival.name: {key: _difference_json(difference(answers, rival, key)) for key in HEADLINE[:2]} for rival in rivals
    }
    return result | answers.details


def quality_of(answers: Answers, vectors_ND: Float32Array) -> ListQuality:
    """Return coverage, inequality and diversity of the first seed's top 10."""
    return list_quality(answers.ranks_S[0].lists_TK[:, :_LIST_LENGTH], vectors_ND)


def _bounds(values_T: FloatArray) -> list[float]:
    found = interval(values_T)
    return [found.low, found.high]


def _difference_json(found: Difference) -> dict[str, float | None]:
    """Return a difference as JSON, which has no infinity: against a rival at 0 there is no relative one."""
    return {
        "difference": found.difference.mean,
        "low": found.difference.low,
        "high": found.difference.high,
        "relative": found.relative if np.isfinite(found.relative) else None,
        "p_value": found.p_value,
    }
