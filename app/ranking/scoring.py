"""Scores for candidates: by the model where time allows, for the best of them where it allows less, else by prior."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from app.errors import BudgetExceeded, ScoringFailed
from app.ranking.candidates import Candidates
from app.ranking.fallback import LEAST_PARTIAL, Reason, best_by_prior, prior_as_scores
from app.selection.top_k import top_k_positions

if TYPE_CHECKING:
    from app.contract.encoding import EncodedHistory
    from app.contract.tensors import Float32Array, Int64Array
    from app.ranking.budget import Budget
    from app.ranking.ports import ItemCatalog, Scorer


@dataclass(frozen=True, slots=True)
class Scored:
    """Candidates with their scores.

    Attributes:
        rows_S: ``int64[S]`` rows of those with a score, in input order.
        scores_S: ``float32[S]`` their scores; higher is better.
        positions_S: ``int64[S]`` their positions in the request, or None for the whole catalogue.
        tail: Those without a score, in the order in which they follow.
        by_model: Whether the scores are the model's; otherwise they are priors.
        has_scores: False if not even a prior is known: the order is the caller's, the scores are zeros.
        reasons: What went wrong.
    """

    rows_S: Int64Array
    scores_S: Float32Array
    positions_S: Int64Array | None
    tail: Candidates | None = None
    by_model: bool = True
    has_scores: bool = True
    reasons: tuple[Reason, ...] = ()


class CandidateScoring:
    """Walks down the ladder until there are scores."""

    def __init__(self, scorer: Scorer, catalog: ItemCatalog) -> None:
        """Take the parts."""
        self._scorer = scorer
        self._catalog = catalog

    async def score(
        self,
        history: EncodedHistory,
        candidates: Candidates,
        weights_O: Float32Array | None,
        budget: Budget,
        *,
        alone: bool = False,
    ) -> Scored:
        """Return the best scores that can be had until the budget's model deadline; ``alone`` as in `Scorer.score`.

        Raises:
            Overloaded: If the line is full.
            ShuttingDown: If the service is draining.
        """
        count = len(candidates.rows_C)
        if count == 0:
            return Scored(candidates.rows_C, np.empty(0, np.float32), candidates.positions_C)
        deadline_s = budget.model_deadline_s
        affordable = self._scorer.affordable(count, deadline_s=deadline_s)
        if affordable < min(count, LEAST_PARTIAL):
            return self.by_prior(candidates, Reason.MODEL_TIMEOUT)
        chosen, tail = (candidates, None) if affordable >= count else self._best_part(candidates, affordable)
        try:
            scores_S = await self._scorer.score(
                history, chosen.rows_C, objective_weights_O=weights_O, deadline_s=deadline_s, alone=alone
            )
        except BudgetExceeded:
            return self.by_prior(candidates, Reason.MODEL_TIMEOUT)
        except ScoringFailed:
            return self.by_prior(candidates, Reason.MODEL_FAILED)
        reasons = () if tail is None else (Reason.PARTIAL_SCORES,)
        return Scored(chosen.rows_C, scores_S, chosen.positions_C, tail, reasons=reasons)

    async def retrieve(self, history: EncodedHistory, seen_rows: Int64Array, count: int, budget: Budget) -> Candidates:
        """Return the ``count`` best items of the whole catalogue by dot product, best first.

        Args:
            history: The user's history.
            seen_rows: ``int64[E]`` rows to leave out.
            count: How many; more than there are means all of them.
            budget: The request's.

        Raises:
            BudgetExceeded: If they cannot be had in time.
            ScoringFailed: If the model failed.
        """
        scores_R = await self._scorer.score_catalog(history, deadline_s=budget.model_deadline_s)
        live_N = self._catalog.live_rows()
        # items that were added since the model read the table have no score yet
        live_N = live_N[: np.searchsorted(live_N, len(scores_R))]
        scores_N = scores_R[live_N]
        if len(seen_rows):
            scores_N[np.isin(live_N, seen_rows)] = -np.inf
            count = min(count, int(np.isfinite(scores_N).sum()))
        best = top_k_positions(scores_N, count) if count else np.empty(0, np.int64)
        return Candidates(live_N[best], None)

    def popular(self, seen_rows: Int64Array, count: int) -> Candidates:
        """Return the ``count`` most popular items of the whole catalogue, best first."""
        live_N = self._catalog.live_rows()
        if len(seen_rows):
            live_N = live_N[~np.isin(live_N, seen_rows)]
        if not len(live_N):
            return Candidates(live_N, None)
        return Candidates(live_N[top_k_positions(self._catalog.prior_of_rows(live_N), count)], None)

    def by_prior(self, candidates: Candidates, reason: Reason) -> Scored:
        """Return the candidates with their popularity priors as scores."""
        prior_C = self._catalog.prior_of_rows(candidates.rows_C)
        scores_C, known = prior_as_scores(prior_C)
        return Scored(
            candidates.rows_C,
            scores_C,
            candidates.positions_C,
            by_model=False,
            has_scores=known,
            reasons=(reason,) if known else (reason, Reason.NO_PRIOR),
        )

    def _best_part(self, candidates: Candidates, count: int) -> tuple[Candidates, Candidates]:
        """Split off the ``count`` candidates with the best prior; for the whole catalogue, the best by dot product."""
        rows_C, positions_C = candidates.rows_C, candidates.positions_C
        if positions_C is None:
            return Candidates(rows_C[:count], None), Candidates(rows_C[count:], None)
        best = best_by_prior(self._catalog.prior_of_rows(rows_C), count)
        rest_C = np.ones(len(rows_C), np.bool_)
        rest_C[best] = False
        return Candidates(rows_C[best], positions_C[best]), Candidates(rows_C[rest_C], positions_C[rest_C])
