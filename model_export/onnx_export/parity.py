"""Measures how far an exported bundle is from the trained module, through the class that serves."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy.stats import kendalltau

from app.contract.tensors import RankingBatch
from app.contract.tolerances import TOLERANCES
from app.inference.certificate import top_agreement
from model_export.evaluation.bootstrap import paired_difference
from model_export.evaluation.bundle_scorer import BundleScorer
from model_export.evaluation.metrics import ndcg, summary
from model_export.evaluation.ranks import rank_answers
from model_export.evaluation.run_scorer import RunScorer
from model_export.onnx_export.tolerances import ENCODER_MIN_MEAN_COSINE, ONLINE_MIN_TOP10_AGREEMENT

if TYPE_CHECKING:
    from app.contract.tensors import Float32Array, Int64Array
    from app.inference.onnx_ranker import OnnxRanker
    from model_export.evaluation.questions import Questions
    from model_export.onnx_export.reference_model import ReferenceModel

MAX_QUESTIONS: Final = 5_000
"""Test users beyond this are sampled for scores; NDCG always uses the same questions."""

_BEST: Final = 100
_RANDOM: Final = 100
_QUESTIONS_AT_ONCE: Final = 32
_CUTOFF: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreParity:
    """Scores of the bundle against the module's, over the held-out test questions.

    Attributes:
        questions: How many were asked, each with the reference's best 100 items and 100 random ones.
        max_score_error: Largest absolute difference.
        mean_score_error: Mean absolute difference.
        top10_agreement: Mean share of the reference's first ten.
        kendall_tau: Mean rank correlation of the 200 candidates, over questions whose candidates differ; 1 without any.
    """

    questions: int
    max_score_error: float
    mean_score_error: float
    top10_agreement: float
    kendall_tau: float


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityParity:
    """NDCG@10 over the full catalogue, seen items masked, as the service ranks it, against the module's.

    Attributes:
        ndcg_reference: The module's.
        ndcg: The bundle's.
        ndcg_change: Relative.
        ndcg_change_low: 2.5th percentile of the paired bootstrap, relative.
        ndcg_change_high: 97.5th percentile.
        metrics: Every metric of the bundle.
    """

    ndcg_reference: float
    ndcg: float
    ndcg_change: float
    ndcg_change_low: float
    ndcg_change_high: float
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderParity:
    """Vectors of the bundle's encoder against the module's, over the catalogue's texts.

    Attributes:
        texts: How many.
        min_cosine: Smallest.
        mean_cosine: Mean.
    """

    texts: int
    min_cosine: float
    mean_cosine: float


def measure_scores(reference: ReferenceModel, ranker: OnnxRanker, questions: Questions) -> ScoreParity:
    """Compare scores request by request."""
    random = np.random.default_rng(0)
    questions = questions.sampled(MAX_QUESTIONS, random)
    errors: list[Float32Array] = []
    agreements: list[float] = []
    correlations: list[float] = []
    for _, block in questions.blocks(_QUESTIONS_AT_ONCE):
        history = block.histories(reference.ranker.shape.history_length)
        rows_BC = _candidates(reference.score_catalog(history), random)
        expected_BC = reference.score(history, rows_BC)
        actual_BC = ranker.score(RankingBatch(history, rows_BC))
        errors.append(np.abs(expected_BC - actual_BC).ravel())
        for expected_C, actual_C in zip(expected_BC, actual_BC, strict=True):
            agreements.append(top_agreement(expected_C, actual_C))
            correlations.append(float(kendalltau(expected_C, actual_C).statistic))
    every_error = np.concatenate(errors)
    known = [correlation for correlation in correlations if not np.isnan(correlation)]
    return ScoreParity(
        questions=len(questions),
        max_score_error=float(every_error.max()),
        mean_score_error=float(every_error.mean()),
        top10_agreement=float(np.mean(agreements)),
        kendall_tau=float(np.mean(known)) if known else 1.0,
    )


def measure_quality(reference: ReferenceModel, ranker: OnnxRanker, questions: Questions) -> QualityParity:
    """Rank the full catalogue with both and compare NDCG@10."""
    scorer = BundleScorer(ranker, history_length=reference.ranker.shape.history_length)
    ranks = rank_answers(scorer, questions)
    ours_T = ndcg(ranks.masked_T, _CUTOFF)
    theirs_T = ndcg(rank_answers(RunScorer(reference.ranker), questions).masked_T, _CUTOFF)
    base = float(theirs_T.mean())
    difference = paired_difference(ours_T, theirs_T).difference
    scale = base if base > 0 else 1.0
    return QualityParity(
        ndcg_reference=base,
        ndcg=float(ours_T.mean()),
        ndcg_change=difference.mean / scale,
        ndcg_change_low=difference.low / scale,
        ndcg_change_high=difference.high / scale,
        metrics=summary(ranks),
    )


def measure_vectors(expected_ND: Float32Array, actual_ND: Float32Array) -> EncoderParity:
    """Compare vectors by their cosine; two zero vectors agree."""
    norms_N = np.linalg.norm(expected_ND, axis=1) * np.linalg.norm(actual_ND, axis=1)
    cosines_N = np.where(norms_N > 0, (expected_ND * actual_ND).sum(axis=1) / np.maximum(norms_N, 1e-12), 1.0)
    return EncoderParity(texts=len(expected_ND), min_cosine=float(cosines_N.min()), mean_cosine=float(cosines_N.mean()))


def shortfalls(
    precision: str, scores: ScoreParity, quality: QualityParity, encoder: EncoderParity, online: ScoreParity
) -> list[str]:
    """Return a sentence for each tolerance of ``precision`` that is missed; none means that the export may go out.

    Args:
        precision: Of the bundle.
        scores: With the published item table.
        quality: The same.
        encoder: Of the catalogue's texts.
        online: With the table that the bundle's own encoder would make.
    """
    tolerance = TOLERANCES[precision]
    found: list[str] = []
    if scores.max_score_error > tolerance.max_score_error:
        found.append(f"the largest score error is {scores.max_score_error:.2g}, allowed {tolerance.max_score_error:g}")
    if scores.top10_agreement < tolerance.min_top10_agreement:
        found.append(
            f"top-10 agreement is {scores.top10_agreement:.4f}, expected {tolerance.min_top10_agreement:g} at least"
        )
    if abs(quality.ndcg_change) > tolerance.max_ndcg_change:
        found.append(
            f"NDCG@10 changes by {quality.ndcg_change:+.2%}, allowed {tolerance.max_ndcg_change:.2%} either way"
        )
    if encoder.mean_cosine < ENCODER_MIN_MEAN_COSINE[precision]:
        found.append(
            f"the encoder's mean cosine is {encoder.mean_cosine:.5f}, expected {ENCODER_MIN_MEAN_COSINE[precision]}"
        )
    if online.top10_agreement < ONLINE_MIN_TOP10_AGREEMENT[precision]:
        found.append(
            f"with every text read by the bundle's encoder top-10 agreement is {online.top10_agreement:.4f}, "
            f"expected {ONLINE_MIN_TOP10_AGREEMENT[precision]} at least"
        )
    return found


def parity_record(scores: ScoreParity, quality: QualityParity) -> dict[str, Any]:
    """Return what the manifest's ``parity`` holds of one item table."""
    return asdict(scores) | {key: value for key, value in asdict(quality).items() if key != "metrics"}


def _candidates(catalog_scores_BN: Float32Array, random: np.random.Generator) -> Int64Array:
    """Return the best rows and random ones, without row 0."""
    scores_BN = catalog_scores_BN[:, 1:]
    count = min(_BEST, scores_BN.shape[1])
    best_BK = np.argpartition(-scores_BN, count - 1, axis=1)[:, :count] + 1
    other_BK = random.integers(1, scores_BN.shape[1] + 1, (len(scores_BN), _RANDOM))
    return np.concatenate([best_BK, other_BK], axis=1)
