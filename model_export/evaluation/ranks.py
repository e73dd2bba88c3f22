"""Where the answer of each question stands in a scorer's list of the full catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from model_export.errors import CommandError

if TYPE_CHECKING:
    from app.contract.tensors import Float32Array, Int64Array
    from model_export.evaluation.questions import Questions
    from model_export.evaluation.scorers import CatalogScorer

_SCORES_AT_ONCE: Final = 1 << 23
"""Scores held at one time, 32 MiB of float32: memory does not grow with users or items."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """One scorer's answers to T questions.

    Attributes:
        masked_T: ``int64[T]``: 1 + the number of other items that score at least as much as the answer, the user's seen
            items left out. Ties count against the scorer: a constant score ranks last, not first.
        unmasked_T: ``int64[T]``, the same with seen items left in.
        auc_T: ``float32[T]``, the share of unseen other items that score below the answer, ties counting half.
        lists_TK: ``int64[T, K]``, rows of the masked top K, best first, ties by row; 0 where there are fewer items.
    """

    masked_T: Int64Array
    unmasked_T: Int64Array
    auc_T: Float32Array
    lists_TK: Int64Array


def rank_answers(scorer: CatalogScorer, questions: Questions, *, list_length: int = 20) -> Ranks:
    """Score the full catalogue for every question, block by block, and rank the answers.

    Raises:
        CommandError: If a score is NaN; the message names the scorer.
    """
    count, row_count = len(questions), questions.data.item_count + 1
    ranks = Ranks(
        masked_T=np.zeros(count, np.int64),
        unmasked_T=np.zeros(count, np.int64),
        auc_T=np.zeros(count, np.float32),
        lists_TK=np.zeros((count, list_length), np.int64),
    )
    for positions, block in questions.blocks(max(1, _SCORES_AT_ONCE // row_count)):
        scores_BN = checked_scores(scorer, block)
        _rank_block(scores_BN, block, positions, ranks)
    return ranks


def checked_scores(scorer: CatalogScorer, block: Questions) -> Float32Array:
    """Return a writable ``float32[B, N + 1]`` of the scorer with row 0 at -inf.

    Raises:
        CommandError: If the shape is wrong or a score is NaN.
    """
    scores_BN = np.array(scorer.scores(block), np.float32)
    expected = (len(block), block.data.item_count + 1)
    if scores_BN.shape != expected:
        raise CommandError(f"{scorer.name} returned scores of shape {scores_BN.shape}, expected {expected}")
    scores_BN[:, 0] = -np.inf
    if np.isnan(scores_BN.min()):
        raise CommandError(f"{scorer.name} returned a NaN score, expected numbers")
    return scores_BN


def mask_seen(scores_BN: Float32Array, block: Questions) -> None:
    """Put every seen item but the answer itself at -inf, in place."""
    questions, rows = block.seen_other_rows()
    scores_BN[questions, rows] = -np.inf


def _rank_block(scores_BN: Float32Array, block: Questions, positions: Int64Array, ranks: Ranks) -> None:
    answer_score_B = scores_BN[np.arange(len(block)), block.answers]
    above_B = (scores_BN > answer_score_B[:, None]).sum(axis=1)
    # Column 0 is no item; it counts as a tie only where the answer itself is at -inf.
    reaching_B = (scores_BN[:, 1:] >= answer_score_B[:, None]).sum(axis=1) - 1
    questions, rows = block.seen_other_rows()
    seen_scores, seen_answer = scores_BN[questions, rows], answer_score_B[questions]
    seen_reaching_B = np.bincount(questions[seen_scores >= seen_answer], minlength=len(block))
    seen_above_B = np.bincount(questions[seen_scores > seen_answer], minlength=len(block))
    ranks.unmasked_T[positions] = 1 + reaching_B
    ranks.masked_T[positions] = 1 + reaching_B - seen_reaching_B
    others_B = block.data.item_count - 1 - np.bincount(questions, minlength=len(block))
    unseen_above_B, unseen_reaching_B = above_B - seen_above_B, reaching_B - seen_reaching_B
    lost_B = (unseen_above_B + unseen_reaching_B) / 2
    ranks.auc_T[positions] = np.where(others_B > 0, 1 - lost_B / np.maximum(others_B, 1), 0.5)
    scores_BN[questions, rows] = -np.inf
    ranks.lists_TK[positions] = _top_lists(scores_BN, ranks.lists_TK.shape[1])


def _top_lists(scores_BN: Float32Array, length: int) -> Int64Array:
    """Return ``int64[B, length]`` rows, best first, ties by row; 0 where only -inf is left."""
    kept = min(length, scores_BN.shape[1])
    picked_BK = np.sort(np.argpartition(scores_BN, -kept, axis=1)[:, -kept:], axis=1)
    picked_score_BK = np.take_along_axis(scores_BN, picked_BK, axis=1)
    order_BK = np.argsort(-picked_score_BK, axis=1, kind="stable")
    lists_BK = np.take_along_axis(picked_BK, order_BK, axis=1)
    lists_BK[np.take_along_axis(picked_score_BK, order_BK, axis=1) == -np.inf] = 0
    return np.pad(lists_BK, ((0, 0), (0, length - kept)))
