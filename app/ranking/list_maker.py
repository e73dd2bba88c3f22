"""From scored candidates to the list that the caller gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from app.ranking.candidates import CatalogFacts
from app.ranking.query import Ranking
from app.selection.list_rules import list_positions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.contract.tensors import Float32Array, Int64Array
    from app.ranking.candidates import Candidates
    from app.ranking.fallback import Reason
    from app.ranking.memory import Memory
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
        memory: Memory,
        reasons: Sequence[Reason],
    ) -> Ranking:
        """Return the list: scored candidates by the rules, then those without a score, then the unknown ones."""
        facts = None if query.rules.is_plain else CatalogFacts(self._catalog, scored.rows_S)
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
            history_used=len(memory.history) if by_model else 0,
            newest_age_ms=memory.newest_age_ms if by_model else None,
            history_source=memory.source,
            candidates=len(candidates),
            scored_items=len(scored.rows_S) if by_model else 0,
        )

    def _places(
        self, query: RankQuery, candidates: Candidates, scored: Scored, chosen_K: Int64Array
    ) -> tuple[list[str], list[int] | None]:
        """Return ids and positions in the request: the chosen, then the tail, then the unknown, up to ``top_k``."""
        room = query.rules.top_k - len(chosen_K)
        tail = scored.tail if room > 0 else None
        if query.item_ids is None or scored.positions_S is None:
            ids = self._catalog.ids_of_rows(scored.rows_S[chosen_K])
            return ids + (self._catalog.ids_of_rows(tail.rows_C[:room]) if tail is not None else []), None
        positions: list[int] = scored.positions_S[chosen_K].tolist()
        if tail is not None and tail.positions_C is not None:
            positions += tail.positions_C[:room].tolist()
        positions += candidates.unknown[: max(query.rules.top_k - len(positions), 0)]
        item_ids = query.item_ids
        return [item_ids[position] for position in positions], positions

    def _probabilities(self, query: RankQuery, scores_K: Float32Array, without_score: int) -> list[float | None] | None:
        """Return calibrated probabilities; None without a calibration, or for weights that it was not made for."""
        if self._calibration is None or query.objective:
            return None
        return [*self._calibration.probabilities(scores_K).tolist(), *[None] * without_score]
