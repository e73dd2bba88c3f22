"""Relevance against variety."""

import numpy as np

from app.selection.list_rules import ListRules
from model_export.evaluation.diversity_curve import RowFacts, diversity_curve, ranks_in_lists, ruled_list
from model_export.evaluation.metrics import ndcg
from model_export.evaluation.questions import Questions
from model_export.evaluation.ranks import rank_answers


def test_setting_zero_is_the_masked_ranking(taste_shop, given_scores) -> None:
    """At diversity 0 the curve's NDCG is that of the masked full ranking."""
    data, split = taste_shop
    questions = Questions.of(data, split.test)
    rng = np.random.default_rng(0)
    scorer = given_scores(rng.normal(size=(300, 61)))
    curve = diversity_curve(scorer, questions, rng.normal(size=(61, 4)).astype(np.float32), settings=(0.0, 0.8))
    assert curve[0].ndcg == ndcg(rank_answers(scorer, questions).masked_T, 10).mean()
    assert curve[1].intra_list_diversity > curve[0].intra_list_diversity


def test_items_out_of_the_list_are_no_candidates() -> None:
    """Rows at minus infinity are never listed, even if nothing else is left."""
    scores = np.array([-np.inf, 3, -np.inf, 1], np.float32)
    assert ruled_list(scores, ListRules(top_k=5, diversity=0.5), np.eye(4, dtype=np.float32)).tolist() == [1, 3]


def test_places_in_lists() -> None:
    """An answer's rank is its place; one that is not listed ranks beyond every cutoff."""
    assert ranks_in_lists(np.array([[4, 7], [1, 2]]), np.array([7, 9])).tolist()[0] == 2
    assert ranks_in_lists(np.array([[1, 2]]), np.array([9]))[0] > 10**6


def test_facts_are_those_of_the_rows() -> None:
    """Keys are rows, labels come from the items' column, row 1 first."""
    facts = RowFacts(np.array([3, 1]), np.eye(4, dtype=np.float32), {"category": ["a", "b", "c"]})
    assert facts.keys().tolist() == [3, 1]
    assert list(facts.labels("category", np.array([0, 1]))) == ["c", "a"]
    assert facts.vectors(np.array([0])).tolist() == [[0, 0, 0, 1]]
