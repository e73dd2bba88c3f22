"""The lists that a replay expects: the same bundle, the same rules, without a service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from app.contract.identity import keys_of
from app.selection.list_rules import list_positions
from model_export.evaluation.bundle_scorer import RESCORED, BundleScorer, require_same_shop
from model_export.evaluation.diversity_curve import RowFacts
from model_export.evaluation.replay_plan import place_of_answer

if TYPE_CHECKING:
    from app.contract.tensors import Float32Array, Int64Array, UInt64Array
    from app.inference.bundle import Bundle
    from model_export.evaluation.questions import Questions
    from model_export.evaluation.replay_plan import ReplayPlan

_QUESTIONS_AT_ONCE: Final = 64


class _ServedFacts(RowFacts):
    """Candidates are told apart as the service tells them apart: by the keys of their ids, which outlive a row."""

    def __init__(self, rows_C: Int64Array, vectors_ND: Float32Array, keys_N: UInt64Array) -> None:
        super().__init__(rows_C, vectors_ND, {})
        self._keys_C = keys_N[rows_C - 1]

    def keys(self) -> UInt64Array:
        """Return the keys of the ids."""
        return self._keys_C


def expected_places(bundle: Bundle, questions: Questions, plan: ReplayPlan) -> Int64Array:
    """Return ``int64[T]``, the masked rank of each answer in the list that the service should give.

    Args:
        bundle: The bundle that is served.
        questions: What is asked.
        plan: How.

    Raises:
        CommandError: If the bundle was made of other data.
    """
    require_same_shop(bundle, questions.data)
    weights_O = None
    if plan.objective:
        weights_O = np.array([plan.objective.get(name, 0.0) for name in bundle.manifest.objectives], np.float32)
        weights_O /= weights_O.max()
    scorer = BundleScorer(bundle.ranker, history_length=bundle.manifest.history_length, objective_weights_O=weights_O)
    vectors_ND = np.asarray(bundle.item_table, np.float32)
    keys_N = keys_of(questions.data.item_ids())
    places_T = np.zeros(len(questions), np.int64)
    longest = max((plan.places_asked(questions, number) for number in range(len(questions))), default=0)
    for positions, block in questions.blocks(_QUESTIONS_AT_ONCE):
        candidates = scorer.candidates(block, plan.left_out(block), count=max(RESCORED, longest))
        for number, (best_C, scores_C) in zip(positions.tolist(), candidates, strict=True):
            rules = plan.rules(questions, number)
            rows_C = best_C[: max(RESCORED, rules.top_k)]
            chosen = list_positions(scores_C[: len(rows_C)], rules, _ServedFacts(rows_C, vectors_ND, keys_N))
            places_T[number] = place_of_answer(rows_C[chosen], questions, number)
    return places_T
