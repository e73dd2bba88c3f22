"""The story of one ranking request."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import numpy as np

from app.contract.identity import keys_of
from app.errors import BudgetExceeded, Overloaded, ScoringFailed
from app.ranking.candidates import Candidates, split_by_row, with_rows, without_rows
from app.ranking.fallback import Reason
from app.ranking.objectives import weights_of
from app.selection.list_rules import CAPPED_POOL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.contract.tensors import Int64Array
    from app.ranking.history import HistoryReader, UserHistory
    from app.ranking.list_maker import ListMaker
    from app.ranking.ports import ItemCatalog, StageTimer
    from app.ranking.query import Ranking, RankQuery
    from app.ranking.scoring import CandidateScoring


class RankingService:
    """Ranks candidates for a user within a budget.

    Promise: every query gets a list, whatever happens to the store or the model, unless the line is full
    (`Overloaded`), the service is draining (`ShuttingDown`), the query breaks a rule (`InvalidRequest`), or it is
    strict and the list would be degraded (`BudgetExceeded`).
    """

    def __init__(
        self,
        *,
        catalog: ItemCatalog,
        histories: HistoryReader,
        scoring: CandidateScoring,
        list_maker: ListMaker,
        objectives: Sequence[str],
        rescored: int,
    ) -> None:
        """Take the parts.

        Args:
            catalog: Items.
            histories: Reads the history of a request.
            scoring: Gets scores.
            list_maker: Makes lists.
            objectives: The bundle's objective names.
            rescored: How many of the whole catalogue's best are scored in full.
        """
        self._catalog = catalog
        self._histories = histories
        self._scoring = scoring
        self._list_maker = list_maker
        self._objectives = tuple(objectives)
        self._rescored = rescored
        self._under_way = 0

    async def rank(self, query: RankQuery, timer: StageTimer) -> Ranking:
        """Return the list. See the class for its promise."""
        self._under_way += 1
        try:
            return await self._rank(query, timer)
        finally:
            self._under_way -= 1

    async def _rank(self, query: RankQuery, timer: StageTimer) -> Ranking:
        weights_O = weights_of(query.objective, self._objectives)
        history = await self._histories.read(query)
        timer.lap("history")
        reasons = list(history.reasons)
        seen_rows = history.seen_rows[history.seen_rows > 0] if query.exclude_seen else np.empty(0, np.int64)
        if query.item_ids is None:
            candidates, failure = await self._whole_catalog(query, history, seen_rows)
        else:
            candidates, failure = await self._given(query, history, seen_rows, reasons), None
        timer.lap("candidates")
        if failure is None:
            alone = self._under_way == 1
            scored = await self._scoring.score(history.encoded, candidates, weights_O, query.budget, alone=alone)
        else:
            scored = self._scoring.by_prior(candidates, failure)
        timer.lap("model")
        reasons += scored.reasons
        self._refuse_if_strict(query, reasons)
        ranking = self._list_maker.make(query, candidates, scored, history, reasons)
        timer.lap("list")
        return ranking

    async def _given(
        self, query: RankQuery, history: UserHistory, seen_rows: Int64Array, reasons: list[Reason]
    ) -> Candidates:
        item_ids = query.item_ids or ()
        candidates = split_by_row(self._catalog.rows_of_ids(item_ids))
        if query.exclude_seen and len(history.stored):
            candidates = without_rows(candidates, seen_rows)
            if candidates.unknown:
                keys = keys_of([item_ids[position] for position in candidates.unknown])
                unseen = ~np.isin(keys, history.stored.item_keys_E)
                unknown = np.asarray(candidates.unknown)[unseen].tolist()
                candidates = Candidates(candidates.rows_C, candidates.positions_C, unknown)
        return await self._with_texts(query, candidates, reasons) if query.texts else candidates

    async def _with_texts(self, query: RankQuery, candidates: Candidates, reasons: list[Reason]) -> Candidates:
        """Return the candidates with rows for those that are known by their text alone."""
        positions = [position for position in candidates.unknown if position in query.texts]
        if not positions:
            return candidates
        try:
            async with asyncio.timeout(max(query.budget.left_s() / 2, 0.0)):
                found = await self._catalog.rows_of_texts([query.texts[position] for position in positions])
        except (TimeoutError, Overloaded, ScoringFailed):
            reasons.append(Reason.TEXTS_UNAVAILABLE)
            return candidates
        return with_rows(candidates, positions, found)

    async def _whole_catalog(
        self, query: RankQuery, history: UserHistory, seen_rows: Int64Array
    ) -> tuple[Candidates, Reason | None]:
        # a capped list looks as far as one of given candidates does
        count = max(self._rescored, query.rules.top_k, CAPPED_POOL if query.rules.max_per else 0)
        try:
            return await self._scoring.retrieve(history.encoded, seen_rows, count, query.budget), None
        except BudgetExceeded:
            return self._scoring.popular(seen_rows, count), Reason.MODEL_TIMEOUT
        except ScoringFailed:
            return self._scoring.popular(seen_rows, count), Reason.MODEL_FAILED

    @staticmethod
    def _refuse_if_strict(query: RankQuery, reasons: Sequence[Reason]) -> None:
        if query.strict and reasons:
            spent = f"within {query.budget.total_s * 1000:.0f} ms"
            raise BudgetExceeded(f"no full answer {spent} ({', '.join(reasons)}), and the request is strict")
