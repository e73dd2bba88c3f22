"""Fits the calibration on validation questions; measures how true the probabilities are on others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.optimize import isotonic_regression, minimize

from app.contract.calibration import Calibration, PiecewiseLinear, Platt
from model_export.evaluation.ranks import checked_scores, mask_seen

if TYPE_CHECKING:
    from app.contract.tensors import BoolArray, FloatArray
    from model_export.evaluation.questions import Questions
    from model_export.evaluation.scorers import CatalogScorer

LIST_LENGTH: Final = 20
_MOST_QUESTIONS: Final = 6000
_SAMPLED_OTHERS: Final = 100
_POSITIVES_A_BIN: Final = 25
_FEWEST_BINS: Final = 12
"""With fewer bins of positives than this, isotonic knots would be noise; two Platt numbers are fitted instead."""
_LEAST_PROBABILITY: Final = 1e-9
_BINS: Final = 15


@dataclass(frozen=True, slots=True)
class ScoredPairs:
    """P pairs of a question and an unseen item.

    Attributes:
        scores_P: ``float64[P]``.
        hits_P: ``bool[P]``: whether the item was the answer.
        weights_P: ``float64[P]``: how many pairs of the whole catalogue each stands for.
        listed_P: ``bool[P]``: whether the item is among the question's first `LIST_LENGTH`.
    """

    scores_P: FloatArray
    hits_P: BoolArray
    weights_P: FloatArray
    listed_P: BoolArray


@dataclass(frozen=True, slots=True)
class Reliability:
    """How true probabilities are.

    Attributes:
        expected_error: Expected calibration error: mean |predicted - observed| over bins of equal weight.
        log_loss: Mean binary cross-entropy, nats.
        predicted_bins: Mean prediction of each bin.
        observed_bins: Share of hits of each bin.
        pairs: How many pairs were looked at.
    """

    expected_error: float
    log_loss: float
    predicted_bins: FloatArray
    observed_bins: FloatArray
    pairs: int


def scored_pairs(scorer: CatalogScorer, questions: Questions, *, seed: int = 0) -> ScoredPairs:
    """Score unseen items for (a sample of) the questions: the first 20, the answer, and a sample of the others.

    The sample is drawn without regard to scores and weighted by what it stands for, so sums over the pairs estimate
    sums over the whole catalogue without bias.
    """
    random = np.random.default_rng(seed)
    parts: list[ScoredPairs] = []
    for _, block in questions.sampled(_MOST_QUESTIONS, random).blocks(256):
        scores_BN = checked_scores(scorer, block)
        mask_seen(scores_BN, block)
        parts.extend(
            _pairs_of_one(scores_N, int(answer), random)
            for scores_N, answer in zip(scores_BN, block.answers, strict=True)
        )
    return ScoredPairs(
        scores_P=np.concatenate([part.scores_P for part in parts]),
        hits_P=np.concatenate([part.hits_P for part in parts]),
        weights_P=np.concatenate([part.weights_P for part in parts]),
        listed_P=np.concatenate([part.listed_P for part in parts]),
    )


def _pairs_of_one(scores_N: FloatArray, answer: int, random: np.random.Generator) -> ScoredPairs:
    open_rows = np.flatnonzero(np.isfinite(scores_N))
    length = min(LIST_LENGTH, len(open_rows))
    listed = open_rows[np.argpartition(scores_N[open_rows], len(open_rows) - length)[len(open_rows) - length :]]
    certain = np.union1d(listed, [answer] if np.isfinite(scores_N[answer]) else []).astype(np.int64)
    others = open_rows[~np.isin(open_rows, certain)]
    drawn = random.choice(others, min(_SAMPLED_OTHERS, len(others)), replace=False) if len(others) else others
    rows = np.concatenate([certain, drawn])
    weight = len(others) / max(len(drawn), 1)
    return ScoredPairs(
        scores_P=scores_N[rows].astype(np.float64),
        hits_P=rows == answer,
        weights_P=np.concatenate([np.ones(len(certain)), np.full(len(drawn), weight)]),
        listed_P=np.isin(rows, listed),
    )


def fit_calibration(pairs: ScoredPairs) -> Calibration:
    """Fit isotonic knots, or Platt's two numbers where there are too few hits for knots.

    Isotonic regression (pool adjacent violators) runs over bins that hold `_POSITIVES_A_BIN` hits each, so that no knot
    rests on a handful of pairs.
    """
    if int(pairs.hits_P.sum()) < _FEWEST_BINS * _POSITIVES_A_BIN:
        return _fit_platt(pairs)
    order = np.argsort(pairs.scores_P, kind="stable")
    scores_P, hits_P, weights_P = pairs.scores_P[order], pairs.hits_P[order], pairs.weights_P[order]
    bin_P = np.minimum(
        (np.cumsum(hits_P) - hits_P) // _POSITIVES_A_BIN, (int(hits_P.sum()) - 1) // _POSITIVES_A_BIN
    ).astype(np.int64)
    weight_J = np.bincount(bin_P, weights_P)
    score_J = np.bincount(bin_P, weights_P * scores_P) / weight_J
    share_J = np.bincount(bin_P, weights_P * hits_P) / weight_J
    rising_J = isotonic_regression(share_J, weights=weight_J).x
    distinct = np.append(True, np.diff(score_J) > 0)
    return PiecewiseLinear(score_J[distinct], np.log(np.clip(rising_J[distinct], _LEAST_PROBABILITY, 1.0)))


def _fit_platt(pairs: ScoredPairs) -> Platt:
    """Minimise the weighted log loss over slope and intercept; the slope stays above 0."""

    def loss(parameters: FloatArray) -> float:
        logits_P = np.exp(parameters[0]) * pairs.scores_P + parameters[1]
        return float(
            (pairs.weights_P * (np.logaddexp(0.0, logits_P) - pairs.hits_P * logits_P)).sum() / pairs.weights_P.sum()
        )

    found = minimize(loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-9, "maxiter": 400})
    return Platt(slope=float(np.exp(found.x[0])), intercept=float(found.x[1]))


def reliability(calibration: Calibration, pairs: ScoredPairs, *, listed_only: bool) -> Reliability:
    """Compare probabilities with what happened, in `_BINS` bins of equal weight by predicted probability.

    Args:
        calibration: Fitted on other questions.
        pairs: What happened.
        listed_only: Only items among the first 20 of a list, where it is hard; else all pairs of the catalogue.
    """
    chosen = pairs.listed_P if listed_only else np.ones(len(pairs.hits_P), np.bool_)
    hits_P = pairs.hits_P[chosen].astype(np.float64)
    weights_P = np.ones(len(hits_P)) if listed_only else pairs.weights_P[chosen]
    predicted_P = calibration.probabilities(pairs.scores_P[chosen]).astype(np.float64)
    order = np.argsort(predicted_P, kind="stable")
    hits_P, weights_P, predicted_P = hits_P[order], weights_P[order], predicted_P[order]
    total = float(weights_P.sum())
    weight_before_P: FloatArray = np.cumsum(weights_P).astype(np.float64) - weights_P
    bin_P = np.minimum((weight_before_P / total * _BINS).astype(np.int64), _BINS - 1)
    weight_J = np.maximum(np.bincount(bin_P, weights_P, _BINS), 1e-300)
    predicted_J = np.bincount(bin_P, weights_P * predicted_P, _BINS) / weight_J
    observed_J = np.bincount(bin_P, weights_P * hits_P, _BINS) / weight_J
    safe_P = np.clip(predicted_P, 1e-12, 1 - 1e-12)
    losses_P = -(hits_P * np.log(safe_P) + (1 - hits_P) * np.log1p(-safe_P))
    return Reliability(
        expected_error=float((weight_J / total * np.abs(predicted_J - observed_J)).sum()),
        log_loss=float((weights_P * losses_P).sum() / total),
        predicted_bins=predicted_J,
        observed_bins=observed_J,
        pairs=len(hits_P),
    )
