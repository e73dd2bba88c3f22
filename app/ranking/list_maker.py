"""From scored candidates to the list that the caller gets."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np

from app.ranking.candidates import Candidates, CatalogFacts
from app.ranking.query import Ranking
from app.selection.caps import OpenPlaces
from app.selection.list_rules import list_positions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.contract.tensors import Float32Array, Int64Array
    from app.ranking.fallback import Reason
    from app.ranking.history import UserHistory
    from app.ranking.ports import ItemCatalog
    from app.ranking.query import RankQuery
    from app.ranking.scoring import Scored


class Calibration(Protocol):
    """How a score becomes a probability; see `app.contract.calibration`."""

    def probabilities(self, scores_K: Float32Array) -> Float32Array:
        """Return ``float32[K]`` in 0..1."""


class ListMaker:
    """Chooses, orders and names the items of an answer."""

    def __init__(self, catalog: ItemCatalog, calibration: Calibration | None) -> None:
        """Take the parts.

        Args:
            catalog: Where rows become ids again.
            calibration: None for a bundle without one.
        """
        self._catalog = catalog
        self._calibration = calibration

    def make(
        self,
        query: RankQuery,
        candidates: Candidates,
        scored: Scored,
        history: UserHistory,
        reasons: Sequence[Reason],
    ) -> Ranking:
        """Return the list: scored candidates by the rules, then those without a score, then the unknown ones."""
        ids_of = partial(self._ids, query, scored)
        facts = None if query.rules.is_plain else CatalogFacts(self._catalog, scored.rows_S, ids_of)
        chosen_K = list_positions(scored.scores_S, query.rules, facts)
        scores_K = scored.scores_S[chosen_K]
        ids, positions = self._places(query, candidates, scored, chosen_K)
        without_score = len(ids) - len(chosen_K)
        scores = scores_K.tolist() if scored.has_scores else [None] * len(chosen_K)
        by_model = scored.by_model
        return Ranking(
            ids=ids,
            positions=positions,
            scores=scores + [None] * without_score,
            probabilities=self._probabilities(query, scores_K, without_score) if by_model else None,
            reasons=[str(reason) for reason in reasons],
            unknown=[] if query.item_ids is None else [query.item_ids[place] for place in candidates.unknown],
            history_used=len(history.encoded) if by_model else 0,
            newest_age_ms=history.newest_age_ms if by_model else None,
            history_source=history.source,
            candidates=len(candidates),
            scored_items=len(scored.rows_S) if by_model else 0,
        )

    def _places(
        self, query: RankQuery, candidates: Candidates, scored: Scored, chosen_K: Int64Array
    ) -> tuple[list[str], list[int] | None]:
        """Return ids and positions in the request: the chosen, then the tail, then the unknown, up to ``top_k``."""
        room = query.rules.top_k - len(chosen_K)
        tail = self._tail(query, scored, chosen_K) if room > 0 else None
        if query.item_ids is None or scored.positions_S is None:
            ids = self._catalog.ids_of_rows(scored.rows_S[chosen_K])
            return ids + (self._catalog.ids_of_rows(tail.rows_C[:room]) if tail is not None else []), None
        positions: list[int] = scored.positions_S[chosen_K].tolist()
        if tail is not None and tail.positions_C is not None:
            positions += tail.positions_C[:room].tolist()
        positions += candidates.unknown[: max(query.rules.top_k - len(positions), 0)]
        item_ids = query.item_ids
        return [item_ids[position] for position in positions], positions

    def _ids(self, query: RankQuery, scored: Scored) -> list[str]:
        """Return the ids of the scored; a text without an item has the id that came with it."""
        if query.item_ids is None or scored.positions_S is None:
            return self._catalog.ids_of_rows(scored.rows_S)
        item_ids = query.item_ids
        return [item_ids[position] for position in scored.positions_S.tolist()]

    def _tail(self, query: RankQuery, scored: Scored, chosen_K: Int64Array) -> Candidates | None:
        """Return those without a score that may follow the chosen: the caps of the request hold for them too."""
        tail, max_per = scored.tail, query.rules.max_per
        if tail is None or not max_per:
            return tail
        rows = np.concatenate([scored.rows_S[chosen_K], tail.rows_C])
        labels = {column: self._catalog.column_of_rows(column, rows) for column in max_per}
        places = OpenPlaces(labels, max_per, count=len(rows))
        places.fill(range(len(chosen_K)), len(chosen_K))
        kept = np.asarray(places.fill(range(len(chosen_K), len(rows)), len(rows)), np.int64) - len(chosen_K)
        return Candidates(tail.rows_C[kept], None if tail.positions_C is None else tail.positions_C[kept])

    def _probabilities(self, query: RankQuery, scores_K: Float32Array, without_score: int) -> list[float | None] | None:
        """Return calibrated probabilities; None without a calibration, or for weights that it was not made for."""
        if self._calibration is None or query.objective:
            return None
        return [*self._calibration.probabilities(scores_K).tolist(), *[None] * without_score]
