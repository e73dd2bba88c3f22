"""Every baseline with the few settings that it is tried with on the validation set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from model_export.evaluation.baselines.ease import MOST_ITEMS, Ease
from model_export.evaluation.baselines.item_knn import ItemKnn
from model_export.evaluation.baselines.matrix_factorisation import MatrixFactorisation
from model_export.evaluation.baselines.popularity import Popularity
from model_export.evaluation.baselines.recent_popularity import RecentPopularity
from model_export.evaluation.baselines.text_similarity import TextSimilarity
from model_export.evaluation.metrics import ndcg
from model_export.evaluation.questions import Questions
from model_export.evaluation.ranks import rank_answers

if TYPE_CHECKING:
    from collections.abc import Callable

    from model_export.data.dataset import Dataset
    from model_export.data.splits import Split
    from model_export.evaluation.scorers import CatalogScorer

_TUNING_QUESTIONS: Final = 3000
_UNOBSERVED_TOTAL: Final = 500.0
"""Weight of all unobserved items of a user together in matrix factorisation, against 1 for an observed one."""

_DENSE_ITEMS: Final = 5000
"""Up to this many items EASE and matrix factorisation are quick enough to try more settings."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """How one baseline is made.

    Attributes:
        name: In tables, JSON and on the command line.
        fit: ``fit(data, ends_U, **settings)``: fits it on the events before each user's end.
        grid: The settings that are tried; the first is the default.
    """

    name: str
    fit: Callable[..., CatalogScorer]
    grid: tuple[dict[str, Any], ...] = ({},)


@dataclass(frozen=True, slots=True)
class FittedBaseline:
    """A baseline, ready to be asked.

    Attributes:
        scorer: It.
        settings: Those that won on validation.
    """

    scorer: CatalogScorer
    settings: dict[str, Any]


def baselines_for(data: Dataset) -> tuple[Baseline, ...]:
    """Return the baselines that suit the size of the data, cheapest first."""
    ridges = (100.0, 500.0, 1000.0) if data.item_count <= _DENSE_ITEMS else (100.0,)
    penalties = (0.003, 0.001, 0.01) if data.item_count <= _DENSE_ITEMS else (0.003, 0.001)
    unobserved = min(_UNOBSERVED_TOTAL / data.item_count, 1.0)
    ease = (Baseline(Ease.name, Ease.fit, tuple({"ridge": ridge} for ridge in ridges)),)
    return (
        Baseline(Popularity.name, Popularity.fit),
        Baseline(
            RecentPopularity.name,
            RecentPopularity.fit,
            tuple({"half_life": half_life} for half_life in (0.1, 0.01, 0.03, 0.3)),
        ),
        Baseline(TextSimilarity.name, TextSimilarity.fit, tuple({"decay": decay} for decay in (0.8, 0.5, 1.0))),
        Baseline(
            ItemKnn.name,
            ItemKnn.fit,
            tuple(
                {"shrink": shrink, "neighbours": neighbours}
                for shrink, neighbours in ((10.0, 100), (0.0, 20), (10.0, 200), (100.0, 500))
            ),
        ),
        Baseline(
            MatrixFactorisation.name,
            MatrixFactorisation.fit,
            tuple({"unobserved": unobserved, "ridge": ridge, "sweeps": 6} for ridge in penalties),
        ),
        *(ease if data.item_count <= MOST_ITEMS else ()),
    )


def fit_for_validation(baseline: Baseline, data: Dataset, split: Split) -> FittedBaseline:
    """Fit on the training events with the settings that win on (a seeded sample of) the validation set."""
    ends_U = split.train_ends
    if len(baseline.grid) == 1:
        return FittedBaseline(baseline.fit(data, ends_U, **baseline.grid[0]), baseline.grid[0])
    questions = Questions.of(data, split.validation).sampled(_TUNING_QUESTIONS, np.random.default_rng(0))
    best: FittedBaseline | None = None
    best_ndcg = -1.0
    for settings in baseline.grid:
        scorer = baseline.fit(data, ends_U, **settings)
        value = float(ndcg(rank_answers(scorer, questions).masked_T, 10).mean()) if len(questions) else 0.0
        if best is None or value > best_ndcg:
            best, best_ndcg = FittedBaseline(scorer, settings), value
    if best is None:
        raise ValueError(f"{baseline.name} has no settings to try, expected at least one")
    return best


def fit_for_test(baseline: Baseline, data: Dataset, split: Split) -> FittedBaseline:
    """Fit on training and validation events with the settings that won on validation, like our own refit."""
    settings = baseline.grid[0] if len(baseline.grid) == 1 else fit_for_validation(baseline, data, split).settings
    return FittedBaseline(baseline.fit(data, split.refit_ends, **settings), settings)
