"""What a replay sends for each question, and what it reads from the lists that come back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from app.selection.list_rules import ListRules
from model_export.evaluation.metrics import CUTOFFS, METRICS, hit_rate

if TYPE_CHECKING:
    from app.contract.tensors import Int64Array
    from app.selection.list_rules import Strategy
    from model_export.evaluation.questions import Questions

TIMEOUT_MS: Final = 10_000
NOT_LISTED: Final = np.iinfo(np.int64).max // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayPlan:
    """How the test is played.

    Attributes:
        top_k: Places of a list that are measured.
        inline_history: Whether histories travel in the rank requests instead of `POST /feedback`.
        kept_events: How many events of a user the service keeps (its ``SEQRANK_HISTORY_KEPT_EVENTS``); with fed
            histories it can leave out only those items.
        objective: Weights, passed through; empty for the bundle's default.
        diversity: Passed through.
        strategy: ``top_k`` or ``sample``, passed through.
        temperature: Of ``sample``, passed through.
        seed: Of ``sample``: question number n is drawn with ``seed + n``, so that users get independent draws.
    """

    top_k: int = 20
    inline_history: bool = False
    kept_events: int = 200
    objective: dict[str, float] = field(default_factory=dict)
    diversity: float = 0.0
    strategy: Strategy = "top_k"
    temperature: float = 1.0
    seed: int = 0

    @property
    def is_plain(self) -> bool:
        """Whether lists are the top of the default scores, so that the manifest's metrics are comparable."""
        return not self.objective and self.diversity == 0.0 and self.strategy == "top_k"

    def excludes_seen(self, questions: Questions, number: int) -> bool:
        """Return whether the service leaves seen items out: not where the answer itself is one of them."""
        return not bool(questions.subset(np.array([number])).answer_was_seen()[0])

    def left_out(self, questions: Questions) -> tuple[Int64Array, Int64Array]:
        """Return question positions and rows of the items that the service leaves out."""
        asked, rows = questions.seen_rows(latest=None if self.inline_history else self.kept_events)
        excluding = ~questions.answer_was_seen()[asked]
        return asked[excluding], rows[excluding]

    def places_asked(self, questions: Questions, number: int) -> int:
        """Return how long a list to ask for: seen items that the service does not leave out need room."""
        user = questions.targets.users[number]
        events = int(questions.targets.history_ends[number] - questions.data.user_offsets[user])
        if not self.excludes_seen(questions, number):
            return self.top_k + events
        return self.top_k + (0 if self.inline_history else max(0, events - self.kept_events))

    def rules(self, questions: Questions, number: int) -> ListRules:
        """Return the list rules of question ``number``."""
        return ListRules(
            top_k=self.places_asked(questions, number),
            diversity=self.diversity,
            strategy=self.strategy,
            temperature=self.temperature,
            seed=self.seed + number if self.strategy == "sample" else None,
        )

    def rank_body(self, questions: Questions, number: int, user: str, item_ids: list[str]) -> dict[str, Any]:
        """Return the JSON of ``POST /rank`` over the whole catalogue."""
        rules = self.rules(questions, number)
        body: dict[str, Any] = {
            "user": user,
            "top_k": rules.top_k,
            "timestamp": int(questions.asked_at_ms[number]),
            "exclude_seen": self.excludes_seen(questions, number),
            "timeout_ms": TIMEOUT_MS,
        }
        if self.inline_history:
            body["history"] = events_of(questions, number, item_ids)
        if self.objective:
            body["objective"] = self.objective
        if self.diversity:
            body["diversity"] = self.diversity
        if self.strategy == "sample":
            body |= {"strategy": "sample", "temperature": self.temperature, "seed": rules.seed}
        return body


def events_of(questions: Questions, number: int, item_ids: list[str]) -> list[dict[str, Any]]:
    """Return the visible events of a question as the API takes them, oldest first."""
    data = questions.data
    visible = range(int(questions.starts[number]), int(questions.targets.history_ends[number]))
    return [
        {
            "item": item_ids[data.rows[event] - 1],
            "action": data.actions[data.action_ids[event]],
            "timestamp": int(data.timestamps_ms[event]),
        }
        for event in visible
    ]


def place_of_answer(listed_rows: Int64Array, questions: Questions, number: int) -> int:
    """Return the masked rank of the answer in a list: seen items do not count; `NOT_LISTED` if it is not there."""
    user = questions.targets.users[number]
    before = slice(int(questions.data.user_offsets[user]), int(questions.targets.history_ends[number]))
    answer = questions.data.rows[questions.targets.events[number]]
    counted = listed_rows[~np.isin(listed_rows, questions.data.rows[before]) | (listed_rows == answer)]
    places = np.flatnonzero(counted == answer)
    return int(places[0]) + 1 if len(places) else NOT_LISTED


def metrics_of_places(places_T: Int64Array, top_k: int) -> dict[str, float]:
    """Return the metrics that lists of ``top_k`` places tell."""
    keys = {
        f"{name}@{cutoff}": (metric, cutoff)
        for cutoff in CUTOFFS
        if cutoff <= top_k
        for name, metric in METRICS.items()
    }
    found = {key: float(metric(places_T, cutoff).mean()) for key, (metric, cutoff) in keys.items()}
    return found | {"Accuracy": float(hit_rate(places_T, 1).mean())}
