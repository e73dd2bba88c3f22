"""Rules of one list."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from app.errors import InvalidRequest
from app.selection.list_rules import ListRules, list_positions


@dataclass
class Facts:
    """Candidates with random vectors and a category each."""

    count: int
    asked: list[str] = field(default_factory=list)

    def keys(self):
        """Return rows."""
        self.asked.append("keys")
        return np.arange(1, self.count + 1, dtype=np.uint64)

    def vectors(self, positions_M):
        """Return vectors that depend on the position alone."""
        self.asked.append("vectors")
        return np.random.default_rng(0).normal(size=(self.count, 8)).astype(np.float32)[positions_M]

    def labels(self, column, positions_M):
        """Return one of five categories."""
        self.asked.append(column)
        return [f"{column}-{position % 5}" for position in positions_M]


SCORES = np.random.default_rng(1).normal(size=300).astype(np.float32)


def test_plain_rules_ask_nothing() -> None:
    """The default list is the top 20 of the scores and needs no facts."""
    assert list_positions(SCORES, ListRules()).tolist() == np.argsort(-SCORES, kind="stable")[:20].tolist()


def test_facts_are_asked_only_where_needed() -> None:
    """Sampling asks for keys, diversity for vectors, caps for their column, and for nothing else."""
    for rules, asked in [
        (ListRules(strategy="sample", seed=1), ["keys"]),
        (ListRules(diversity=0.2), ["vectors"]),
        (ListRules(max_per={"brand": 2}), ["brand"]),
    ]:
        facts = Facts(300)
        list_positions(SCORES, rules, facts)
        assert facts.asked == asked


def test_missing_facts_are_an_error() -> None:
    """Rules that need facts say so when there are none."""
    with pytest.raises(ValueError, match="needs facts"):
        list_positions(SCORES, ListRules(diversity=0.3))


def test_everything_together_keeps_every_rule() -> None:
    """A sampled, diversified, capped list has its length, no repeats, at most 3 of a category, and is reproducible."""
    rules = ListRules(top_k=12, diversity=0.5, strategy="sample", seed=9, max_per={"category": 3})
    chosen = list_positions(SCORES, rules, Facts(300))
    assert len(set(chosen.tolist())) == 12
    assert np.bincount(chosen % 5).max() <= 3
    np.testing.assert_array_equal(chosen, list_positions(SCORES, rules, Facts(300)))


def test_caps_shorten_a_list_that_cannot_be_filled() -> None:
    """Five categories with one place each give five items, however many were asked."""
    assert len(list_positions(SCORES, ListRules(top_k=20, max_per={"category": 1}), Facts(300))) == 5


def test_a_long_diverse_list_goes_on_in_score_order() -> None:
    """Past the re-ranked pool of 100 the list continues by score, without repeats."""
    chosen = list_positions(SCORES, ListRules(top_k=250, diversity=0.5), Facts(300))
    by_score = np.argsort(-SCORES, kind="stable")
    assert sorted(chosen[:100].tolist()) == sorted(by_score[:100].tolist())
    assert chosen[100:].tolist() == by_score[100:250].tolist()


def test_diversity_reaches_no_further_than_the_pool() -> None:
    """A short diverse list comes from the best 100."""
    chosen = list_positions(SCORES, ListRules(top_k=20, diversity=1.0), Facts(300))
    assert set(chosen.tolist()) <= set(np.argsort(-SCORES, kind="stable")[:100].tolist())


def test_a_capped_list_looks_beyond_the_reranked_pool() -> None:
    """Where the best 200 are of one brand, the list goes on with the others behind them."""

    class OneBrandFirst(Facts):
        def labels(self, column, positions_M):
            return [f"{column}-{0 if position < 200 else position}" for position in positions_M]

    falling = -np.arange(300, dtype=np.float32)
    chosen = list_positions(falling, ListRules(top_k=6, max_per={"brand": 2}), OneBrandFirst(300))
    assert chosen.tolist() == [0, 1, 200, 201, 202, 203]


def test_fewer_candidates_than_places() -> None:
    """Three candidates give a list of three under every rule."""
    rules = ListRules(top_k=20, diversity=0.5, strategy="sample", seed=1, max_per={"category": 9})
    assert sorted(list_positions(SCORES[:3], rules, Facts(3)).tolist()) == [0, 1, 2]


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"top_k": 0}, "top_k"),
        ({"diversity": 1.5}, "diversity"),
        ({"diversity": float("nan")}, "diversity"),
        ({"method": "best"}, "method"),
        ({"strategy": "random"}, "strategy"),
        ({"temperature": 0.0}, "temperature"),
        ({"temperature": float("inf")}, "temperature"),
        ({"max_per": {"category": 0}}, "max_per.category"),
    ],
)
def test_rules_out_of_bounds_name_their_path(values: dict[str, Any], path: str) -> None:
    """A value out of bounds is an invalid request that names the field."""
    with pytest.raises(InvalidRequest) as raised:
        ListRules(**values)
    assert raised.value.path == path
