"""What one ranking request asks, and what it gets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from app.selection.list_rules import ListRules

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from app.contract.events import StoredHistory
    from app.ranking.budget import Budget

HistorySource: TypeAlias = Literal["redis", "request", "unavailable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RankQuery:
    """One request, checked for form.

    Attributes:
        budget: When it has to be done.
        now_ms: The moment that ages are measured from, epoch milliseconds.
        user: Whose history is read, or None if ``history`` is given.
        item_ids: The candidates in the caller's order, none twice; None for the whole catalogue.
        texts: Position in ``item_ids`` -> text, for candidates that the catalogue may not know.
        history: Used instead of the stored one.
        rules: How the list is made of the scores.
        objective: Objective -> weight; empty for the bundle's default.
        exclude_seen: Whether items of the history are left out.
        strict: Whether a degraded answer is refused with `app.errors.BudgetExceeded`.
    """

    budget: Budget
    now_ms: int
    user: str | None = None
    item_ids: Sequence[str] | None = None
    texts: Mapping[int, str] = field(default_factory=dict)
    history: StoredHistory | None = None
    rules: ListRules = field(default_factory=ListRules)
    objective: Mapping[str, float] = field(default_factory=dict)
    exclude_seen: bool = False
    strict: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The list; ``ids``, ``positions``, ``scores`` and ``probabilities`` are parallel, first place first.

    Attributes:
        ids: Item ids.
        positions: Where each item stood in the request; None for the whole catalogue.
        scores: Model scores, or popularity priors where the model did not run; None for an item without one.
        probabilities: Calibrated choice probabilities, or None where there is no calibration or no model score.
        reasons: What went wrong on the way, as names of `app.ranking.fallback.Reason`; empty if nothing did.
        unknown: Candidates that neither the catalogue nor a text describes.
        history_used: How many events the scores rest on.
        newest_age_ms: Age of the newest of them, or None.
        history_source: Where the history came from.
        candidates: How many candidates there were.
        scored_items: How many of them the model scored.
    """

    ids: list[str]
    positions: list[int] | None
    scores: list[float | None]
    probabilities: list[float | None] | None
    reasons: list[str]
    unknown: list[str]
    history_used: int
    newest_age_ms: int | None
    history_source: HistorySource
    candidates: int
    scored_items: int

    @property
    def degraded(self) -> bool:
        """Whether the list is less than what was asked for."""
        return bool(self.reasons)
