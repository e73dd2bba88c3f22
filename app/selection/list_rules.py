"""From the scores of the candidates to the list, by the rules of one request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias

import numpy as np

from app.errors import InvalidRequest
from app.selection.caps import OpenPlaces
from app.selection.diversity import Method, diverse_positions
from app.selection.sampling import perturbed_scores
from app.selection.top_k import top_k_positions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from app.contract.tensors import Float32Array, FloatArray, Int64Array, UInt64Array

Strategy: TypeAlias = Literal["top_k", "sample"]

RERANK_POOL: Final = 100
"""How many of the best candidates diversity chooses from; whatever a longer list needs follows in score order."""

CAPPED_POOL: Final = 2000
"""How many of the best candidates a capped list is filled from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRules:
    """How one list is made.

    Attributes:
        top_k: Length of the list, at least 1; more than there are candidates means all.
        diversity: 0..1; 0 leaves the order of the scores, see `app.selection.diversity`.
        method: How diversity is reached, ``dpp`` or ``mmr``.
        strategy: ``top_k`` takes the best; ``sample`` draws without replacement by choice probability.
        temperature: Of ``sample``, above 0.
        seed: Of ``sample``: the same seed draws the same list; None draws a new one each time.
        max_per: For item columns how many items of one value the list may hold, for example ``{"category": 3}``.

    Raises:
        InvalidRequest: If a value is out of bounds; its ``path`` is the attribute's name.
    """

    top_k: int = 20
    diversity: float = 0.0
    method: Method = "dpp"
    strategy: Strategy = "top_k"
    temperature: float = 1.0
    seed: int | None = None
    max_per: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require(self.top_k >= 1, "top_k", self.top_k, "at least 1")
        _require(0.0 <= self.diversity <= 1.0, "diversity", self.diversity, "0..1")
        _require(self.method in ("dpp", "mmr"), "method", self.method, "dpp or mmr")
        _require(self.strategy in ("top_k", "sample"), "strategy", self.strategy, "top_k or sample")
        _require(0.0 < self.temperature < float("inf"), "temperature", self.temperature, "a number above 0")
        for column, most in self.max_per.items():
            _require(most >= 1, f"max_per.{column}", most, "at least 1")

    @property
    def is_plain(self) -> bool:
        """True if the list is the top k of the scores, so that nothing but the scores is looked at."""
        return self.diversity == 0.0 and self.strategy == "top_k" and not self.max_per


class CandidateFacts(Protocol):
    """What rules may ask about the candidates; nothing is asked that the rules do not need."""

    def keys(self) -> UInt64Array:
        """Return ``uint64[C]``, what names each candidate wherever it is scored: its row, or the key of its id."""

    def vectors(self, positions_M: Int64Array) -> Float32Array:
        """Return ``float32[M, D]``, the item vectors of the candidates at these positions."""

    def labels(self, column: str, positions_M: Int64Array) -> Sequence[str]:
        """Return M values of an item column, empty where it is unknown."""


def list_positions(scores_C: FloatArray, rules: ListRules, facts: CandidateFacts | None = None) -> Int64Array:
    """Return the positions of the listed candidates, first place first.

    ``sample`` perturbs the scores; diversity then chooses among the best `RERANK_POOL` by those scores, caps hold
    throughout. Ties keep the candidates' order. With a seed the list depends on the arguments alone.

    Args:
        scores_C: ``float[C]``, higher is better; no NaN, and finite where diversity is asked.
        rules: What to do.
        facts: What to ask about the candidates; may be left out where ``rules.is_plain``.

    Returns:
        ``int64[top_k or fewer]``: fewer if there are fewer candidates or the caps admit no more.

    Raises:
        ValueError: If a score is NaN, or facts are needed and not given.
    """
    if rules.is_plain:
        return top_k_positions(scores_C, rules.top_k)
    if facts is None:
        raise ValueError(f"{rules} needs facts about the candidates, got none")
    if rules.strategy == "sample":
        scores_C = perturbed_scores(scores_C, temperature=rules.temperature, seed=rules.seed, keys_C=facts.keys())
    if rules.diversity == 0.0 and not rules.max_per:
        return top_k_positions(scores_C, rules.top_k)
    best = top_k_positions(scores_C, _pool_size(rules))
    labels = {column: facts.labels(column, best) for column in rules.max_per}
    places = OpenPlaces(labels, rules.max_per, count=len(best))
    chosen: list[int] = []
    if rules.diversity > 0.0:
        pool = best[:RERANK_POOL]
        chosen = diverse_positions(
            scores_C[pool], facts.vectors(pool), rules.top_k,
            diversity=rules.diversity, method=rules.method, places=places,
        ).tolist()  # fmt: skip
    chosen += places.fill(range(len(best)), rules.top_k - len(chosen))
    return best[np.asarray(chosen, np.int64)]


def _pool_size(rules: ListRules) -> int:
    return max(rules.top_k, CAPPED_POOL if rules.max_per else RERANK_POOL)


def _require(holds: bool, name: str, value: object, expected: str) -> None:
    if not holds:
        raise InvalidRequest(f"{name} is {value!r}, expected {expected}", path=name)
