"""Where a model is good and where it is not: metrics by history length, item popularity, and cold items or users."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from model_export.data.splits import events_before
from model_export.evaluation.metrics import hit_rate, ndcg
from model_export.evaluation.ranks import rank_answers

if TYPE_CHECKING:
    from app.contract.tensors import BoolArray, Float32Array, Int64Array
    from model_export.evaluation.questions import Questions
    from model_export.evaluation.scorers import CatalogScorer

HISTORY_BORDERS: Final = (1, 6, 11, 21, 51, 101)
COLD_USER_EVENTS: Final = (0, 1, 2, 5)
K: Final = 10

_HEAD_ENDS: Final = 0.5
_TAIL_BEGINS: Final = 0.8
"""Shares of all training events, items in the order of their popularity."""


@dataclass(frozen=True, slots=True)
class SliceResult:
    """One model on one part of the questions.

    Attributes:
        slice_name: What the questions have in common.
        questions: How many there are.
        hit_rate: HR@10, masked.
        ndcg: NDCG@10, masked.
        random_hit_rate: HR@10 of a random order of the same candidates.
    """

    slice_name: str
    questions: int
    hit_rate: float
    ndcg: float
    random_hit_rate: float


def by_history_length(questions: Questions) -> dict[str, BoolArray]:
    """Return a mask of the questions for each range of history lengths that occurs."""
    lengths_T = questions.history_lengths
    borders = (*HISTORY_BORDERS, np.iinfo(np.int64).max)
    masks = {"no events": lengths_T == 0}
    for low, high in pairwise(borders):
        name = f"{low}-{high - 1} events" if high < borders[-1] else f"{low} events or more"
        masks[name] = (lengths_T >= low) & (lengths_T < high)
    return {name: mask for name, mask in masks.items() if mask.any()}


def by_answer_popularity(questions: Questions, ends_U: Int64Array) -> dict[str, BoolArray]:
    """Return a mask of the questions for each popularity of the answer among the known events.

    The head is the items that together take the first half of the known events, the tail those of the last fifth. An
    answer without any known event is naturally cold.
    """
    counts_N = np.bincount(
        questions.data.rows[events_before(questions.data, ends_U)], minlength=questions.data.item_count + 1
    )
    order = np.argsort(-counts_N, kind="stable")
    share_before_N = np.empty(len(counts_N))
    share_before_N[order] = (np.cumsum(counts_N[order]) - counts_N[order]) / max(counts_N.sum(), 1)
    share_T, count_T = share_before_N[questions.answers], counts_N[questions.answers]
    masks = {
        f"head items (first {_HEAD_ENDS:.0%} of events)": (share_T < _HEAD_ENDS) & (count_T > 0),
        "middle items": (share_T >= _HEAD_ENDS) & (share_T < _TAIL_BEGINS),
        f"tail items (last {1 - _TAIL_BEGINS:.0%} of events)": (share_T >= _TAIL_BEGINS) & (count_T > 0),
        "never seen in training": count_T == 0,
    }
    return {name: mask for name, mask in masks.items() if mask.any()}


def slice_results(ranks_T: Int64Array, masks: dict[str, BoolArray], item_count: int) -> list[SliceResult]:
    """Return the metrics of each part."""
    return [_result(name, ranks_T[mask], item_count) for name, mask in masks.items()]


def cold_protocol(scorer: CatalogScorer, questions: Questions, cold_rows: Int64Array) -> list[SliceResult]:
    """Return the three rows of the cold-item protocol: warm and cold answers in the whole catalogue, cold among cold.

    Args:
        scorer: Trained without any event of the cold items.
        questions: Test questions of the ``cold`` split.
        cold_rows: Item rows that training did not know of.
    """
    cold_T = np.isin(questions.answers, cold_rows)
    item_count = questions.data.item_count
    warm_ranks = rank_answers(scorer, questions.subset(np.flatnonzero(~cold_T))).masked_T
    cold_questions = questions.subset(np.flatnonzero(cold_T))
    cold_ranks = rank_answers(scorer, cold_questions).masked_T
    among_ranks = rank_answers(AmongRows(scorer, cold_rows), cold_questions).masked_T
    return [
        _result("warm items, whole catalogue", warm_ranks, item_count),
        _result("cold items, whole catalogue", cold_ranks, item_count),
        _result("cold items among cold items", among_ranks, len(cold_rows)),
    ]


def cold_users(scorer: CatalogScorer, questions: Questions) -> list[SliceResult]:
    """Return the metrics when only the latest 0, 1, 2, 5 and all events of each user are visible.

    The questions and the masks stay the same, so that the rows compare.
    """
    item_count = questions.data.item_count
    results = []
    for count in COLD_USER_EVENTS:
        name = f"{count} {'event' if count == 1 else 'events'} visible"
        results.append(_result(name, rank_answers(scorer, questions.with_latest(count)).masked_T, item_count))
    return [*results, _result("all events visible", rank_answers(scorer, questions).masked_T, item_count)]


class AmongRows:
    """A scorer whose catalogue is only some rows; all others are at minus infinity."""

    def __init__(self, scorer: CatalogScorer, rows: Int64Array) -> None:
        self.name = scorer.name
        self._scorer = scorer
        self._rows = rows

    def scores(self, questions: Questions) -> Float32Array:
        """Return the scorer's scores of the rows."""
        all_BN = self._scorer.scores(questions)
        scores_BN = np.full(all_BN.shape, -np.inf, np.float32)
        scores_BN[:, self._rows] = all_BN[:, self._rows]
        return scores_BN


def _result(name: str, ranks_T: Int64Array, candidate_count: int) -> SliceResult:
    return SliceResult(
        slice_name=name,
        questions=len(ranks_T),
        hit_rate=float(hit_rate(ranks_T, K).mean()) if len(ranks_T) else 0.0,
        ndcg=float(ndcg(ranks_T, K).mean()) if len(ranks_T) else 0.0,
        random_hit_rate=min(1.0, K / max(candidate_count, 1)),
    )
