"""What diversity costs and brings: the list rules of the service at several settings, on held-out questions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from app.selection.list_rules import ListRules, list_positions
from model_export.evaluation.coverage import list_quality
from model_export.evaluation.metrics import hit_rate, ndcg
from model_export.evaluation.ranks import checked_scores, mask_seen
from model_export.evaluation.replay_plan import NOT_LISTED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.contract.tensors import Float32Array, Int64Array, UInt64Array
    from model_export.evaluation.questions import Questions
    from model_export.evaluation.scorers import CatalogScorer

SETTINGS: Final = (0.0, 0.1, 0.3, 0.5, 0.8)
LIST_LENGTH: Final = 20
MOST_QUESTIONS: Final = 2000
_K: Final = 10


@dataclass(frozen=True, slots=True)
class DiversityPoint:
    """The lists under one setting.

    Attributes:
        diversity: The setting, 0..1.
        ndcg: NDCG@10.
        hit_rate: HR@10.
        intra_list_diversity: Mean of 1 - cosine of item vectors within a list of 20.
        catalogue_coverage: Share of the catalogue that is in some list.
    """

    diversity: float
    ndcg: float
    hit_rate: float
    intra_list_diversity: float
    catalogue_coverage: float


class RowFacts:
    """What list rules may ask when candidates are item rows; labels come from a column of the items."""

    def __init__(self, rows_C: Int64Array, vectors_ND: Float32Array, labels: dict[str, Sequence[str]]) -> None:
        """Take the facts of the catalogue.

        Args:
            rows_C: ``int64[C]``, the candidates.
            vectors_ND: ``float32[N + 1, D]``.
            labels: Item columns by name, N values each, row 1 first.
        """
        self._rows_C = rows_C
        self._vectors_ND = vectors_ND
        self._labels = labels

    def keys(self) -> UInt64Array:
        """Return the rows: a row is the same item in every process that serves the bundle."""
        return self._rows_C.astype(np.uint64)

    def vectors(self, positions_M: Int64Array) -> Float32Array:
        """Return the item vectors."""
        return self._vectors_ND[self._rows_C[positions_M]]

    def labels(self, column: str, positions_M: Int64Array) -> Sequence[str]:
        """Return the values of an item column."""
        values = self._labels[column]
        return [values[row - 1] for row in self._rows_C[positions_M]]


def ruled_list(scores_N: Float32Array, rules: ListRules, vectors_ND: Float32Array) -> Int64Array:
    """Return the rows that the rules list from one user's masked scores; rows at -inf are no candidates."""
    rows_C = np.flatnonzero(np.isfinite(scores_N))
    return rows_C[list_positions(scores_N[rows_C], rules, RowFacts(rows_C, vectors_ND, {}))]


def ranks_in_lists(lists_TK: Int64Array, answers_T: Int64Array) -> Int64Array:
    """Return ``int64[T]``, the place of each answer in its list, from 1; `NOT_LISTED` where it is not there."""
    found_TK = lists_TK == answers_T[:, None]
    return np.where(found_TK.any(axis=1), found_TK.argmax(axis=1) + 1, NOT_LISTED)


def diversity_curve(
    scorer: CatalogScorer,
    questions: Questions,
    vectors_ND: Float32Array,
    *,
    settings: Sequence[float] = SETTINGS,
) -> list[DiversityPoint]:
    """Make every question's list under each setting and measure relevance against variety."""
    questions = questions.sampled(MOST_QUESTIONS, np.random.default_rng(1))
    rules = [ListRules(top_k=LIST_LENGTH, diversity=value) for value in settings]
    lists_STK = np.zeros((len(rules), len(questions), LIST_LENGTH), np.int64)
    for positions, block in questions.blocks(128):
        scores_BN = checked_scores(scorer, block)
        mask_seen(scores_BN, block)
        for position, scores_N in zip(positions, scores_BN, strict=True):
            for setting, rule in enumerate(rules):
                listed = ruled_list(scores_N, rule, vectors_ND)
                lists_STK[setting, position, : len(listed)] = listed
    return [
        _point(value, lists_TK, questions.answers, vectors_ND)
        for value, lists_TK in zip(settings, lists_STK, strict=True)
    ]


def _point(value: float, lists_TK: Int64Array, answers_T: Int64Array, vectors_ND: Float32Array) -> DiversityPoint:
    ranks_T = ranks_in_lists(lists_TK, answers_T)
    quality = list_quality(lists_TK, vectors_ND)
    return DiversityPoint(
        diversity=value,
        ndcg=float(ndcg(ranks_T, _K).mean()),
        hit_rate=float(hit_rate(ranks_T, _K).mean()),
        intra_list_diversity=quality.intra_list_diversity,
        catalogue_coverage=quality.catalogue_coverage,
    )
