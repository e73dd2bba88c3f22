"""Every query gets a list, and the list says what it is."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from app.contract.events import StoredHistory
from app.contract.identity import keys_of
from app.errors import BudgetExceeded, InvalidRequest, Overloaded, ScoringFailed, ShuttingDown
from app.selection.list_rules import ListRules
from tests.ranking_house import NOW_MS, House


@pytest.fixture
def house():
    return House()


async def test_the_list_is_ordered_by_score_with_positions_of_the_request(house):
    """The best score comes first, and each item knows where it stood in the request."""
    await house.click("i3")
    ranking = await house.rank(["i1", "i3", "i2"])
    assert (ranking.ids, ranking.positions) == (["i3", "i2", "i1"], [1, 2, 0])
    assert ranking.scores == [0.0, -1.0, -2.0]
    assert (ranking.reasons, ranking.scored_items, ranking.degraded) == ([], 3, False)


async def test_the_list_rests_on_the_newest_events(house):
    """History is read from the store, cut to what the model takes, and reported."""
    for age in range(5, 0, -1):
        await house.click(f"i{age}", NOW_MS - age * 100)
    ranking = await house.rank()
    assert (ranking.history_used, ranking.newest_age_ms, ranking.history_source) == (3, 100, "redis")


async def test_a_history_in_the_request_is_used_instead_of_the_store(house):
    """With a history given the store is not asked."""
    house.store.down = True
    given = StoredHistory(keys_of(["i9"]), keys_of(["cart"]), np.array([NOW_MS]))
    ranking = await house.rank(["i1", "i9"], user=None, history=given)
    assert (ranking.ids[0], ranking.history_source, ranking.reasons) == ("i9", "request", [])


async def test_events_with_an_unknown_action_or_item_are_left_out(house):
    """What this bundle was not trained on is no event to it."""
    await house.click("i1", action="wave")
    await house.click("never-heard-of")
    assert (await house.rank()).history_used == 0


async def test_without_the_store_the_model_ranks_without_history(house):
    """Redis away: a degraded list by the model."""
    house.store.down = True
    ranking = await house.rank()
    assert (ranking.reasons, ranking.history_source) == (["history_unavailable"], "unavailable")
    assert ranking.scored_items == 3


async def test_a_slow_store_is_not_waited_for_longer_than_its_share(house):
    """The store gets 40% of the budget at most, so the model has its time."""
    house.store.slow_s = 5.0
    started_s = time.monotonic()
    ranking = await house.rank(timeout_s=0.04)
    assert ranking.reasons[0] == "history_unavailable"
    assert house.store.allowed_s[0] <= 0.4 * 0.04 < 0.02
    assert time.monotonic() - started_s < 1.0


@pytest.mark.parametrize(
    ("error", "reason"),
    [(BudgetExceeded("late"), "model_timeout"), (ScoringFailed("broken"), "model_failed")],
)
async def test_without_scores_the_list_is_by_popularity(house, error, reason):
    """A model that is late or broken is stood in for by the popularity prior, and the list says so."""
    house.scorer.error = error
    ranking = await house.rank(["i3", "i1", "i2"])
    assert (ranking.ids, ranking.reasons, ranking.scored_items) == (["i1", "i2", "i3"], [reason], 0)
    assert ranking.scores == [-1.0, -2.0, -3.0]
    assert ranking.history_used == 0


async def test_without_any_prior_the_list_is_in_input_order(house):
    """The last rung is the caller's own order, without scores."""
    house.scorer.error = ScoringFailed("broken")
    house.catalog.prior = {}
    ranking = await house.rank(["i3", "i1", "i2"])
    assert (ranking.ids, ranking.scores) == (["i3", "i1", "i2"], [None] * 3)
    assert ranking.reasons == ["model_failed", "no_prior"]


@pytest.mark.parametrize("error", [Overloaded("full"), ShuttingDown("draining")])
async def test_a_full_or_closing_line_is_said_and_not_covered_up(house, error):
    """Refusals reach the caller, who may go elsewhere."""
    house.scorer.error = error
    with pytest.raises(type(error)):
        await house.rank()


async def test_what_time_allows_is_scored_and_the_rest_follows_in_input_order(house):
    """With time for eight of ten candidates the eight most popular are scored, the others follow."""
    house.scorer.most = 8
    await house.click("i8")
    ranking = await house.rank([f"i{n}" for n in (10, 9, 1, 2, 3, 4, 5, 6, 7, 8)])
    assert ranking.ids == ["i8", "i7", "i6", "i5", "i4", "i3", "i2", "i1", "i10", "i9"]
    assert ranking.scores[8:] == [None, None]
    assert ranking.positions[8:] == [0, 1]
    assert (ranking.scored_items, ranking.candidates, ranking.reasons) == (8, 10, ["partial_scores"])


async def test_time_for_too_few_candidates_is_no_time(house):
    """Fewer than eight scores say less than the prior: the model is not asked."""
    house.scorer.most = 2
    ranking = await house.rank([f"i{n}" for n in range(1, 11)])
    assert (ranking.reasons, house.scorer.asked) == (["model_timeout"], [])


async def test_a_strict_request_is_refused_instead_of_degraded(house):
    """``strict`` turns a degraded list into a refusal that names the reason."""
    house.store.down = True
    with pytest.raises(BudgetExceeded, match="history_unavailable"):
        await house.rank(strict=True)


async def test_unknown_items_come_last_in_input_order_without_score(house):
    """Ids that nobody knows follow all others, and are listed."""
    ranking = await house.rank(["x", "i2", "y", "i1"])
    assert (ranking.ids, ranking.unknown) == (["i1", "i2", "x", "y"], ["x", "y"])
    assert ranking.scores[2:] == [None, None]
    assert ranking.positions == [3, 1, 0, 2]


async def test_nothing_but_unknown_items_is_still_a_list(house):
    """A request of unknown ids alone gets them back, without asking the model."""
    ranking = await house.rank(["x", "y"])
    assert (ranking.ids, house.scorer.asked, ranking.degraded) == (["x", "y"], [], False)


async def test_an_unknown_item_with_a_text_is_ranked(house):
    """A text stands in for an unknown id, and is not asked for where the id is known."""
    ranking = await house.rank(["x", "i1"], texts={0: "blue shoes", 1: "ignored"})
    assert house.scorer.asked[0].tolist() == [1010, 1]
    assert (ranking.ids, ranking.unknown) == (["i1", "x"], [])


async def test_a_text_that_cannot_be_encoded_in_time_ranks_last(house):
    """A slow encoder costs that candidate its place, not the list its time."""
    house.catalog.slow_texts_s = 5.0
    ranking = await house.rank(["x", "i1"], texts={0: "blue shoes"}, timeout_s=0.05)
    assert (ranking.ids, ranking.unknown, ranking.reasons) == (["i1", "x"], ["x"], ["texts_unavailable"])


async def test_seen_items_are_left_out_when_asked(house):
    """``exclude_seen`` drops items of the history, also ones beyond what the model reads and unknown ones."""
    for age in range(1, 6):
        await house.click(f"i{age}", NOW_MS - age)
    await house.click("x", NOW_MS - 10)
    ranking = await house.rank(["i5", "i6", "x", "y"], exclude_seen=True)
    assert (ranking.ids, ranking.unknown) == (["i6", "y"], ["y"])
    assert len((await house.rank(["i5", "i6"])).ids) == 2


@pytest.mark.parametrize("texts", [{}, {0: "blue shoes", 2: "a hat"}])
async def test_a_seen_item_is_left_out_whether_it_comes_with_a_text_or_not(house, texts):
    """An id of the history that the catalogue does not know is as seen as any other; the rest keep their places."""
    await house.click("x")
    ranking = await house.rank(["x", "i1", "y", "i2"], texts=texts, exclude_seen=True)
    assert sorted(zip(ranking.ids, ranking.positions, strict=True)) == [("i1", 1), ("i2", 3), ("y", 2)]
    assert ranking.unknown == ([] if texts else ["y"])
    assert house.catalog.encoded == (["a hat"] if texts else [])


async def test_the_newest_age_is_exact(house):
    """Thirty days and 123 ms are not rounded as the model's seconds in float32 are."""
    await house.click("never-heard-of", NOW_MS)
    await house.click("i1", NOW_MS - 2_592_000_123)
    await house.click("never-heard-of", NOW_MS - 10)
    house.store.events["u"].sort(key=lambda event: event.timestamp_ms)
    assert (await house.rank()).newest_age_ms == 2_592_000_123


@pytest.mark.parametrize("items", [None, [f"i{n}" for n in range(1, 11)]])
async def test_caps_hold_for_those_without_a_score_too(house, items):
    """Candidates that there was no time to score follow the scored ones as far as the caps let them."""
    house.scorer.most = 8
    rules = ListRules(top_k=10, max_per={"parity": 5})
    house.service._rescored = 10
    house.catalog.column_of_rows = lambda _, rows: ["even" if row % 2 == 0 or row == 9 else "odd" for row in rows]
    ranking = await house.rank(items, rules=rules)
    assert ranking.reasons == ["partial_scores"]
    assert [item for item, score in zip(ranking.ids, ranking.scores, strict=True) if score is None] == ["i9"]


async def test_top_k_beyond_the_candidates_means_all(house):
    """Asking for more than there are gives all of them, for fewer the best."""
    assert len((await house.rank(top_k=100)).ids) == 3
    assert (await house.rank(top_k=1)).ids == ["i1"]


async def test_the_whole_catalogue_is_ranked_by_its_best(house):
    """Without items the best by dot product are scored in full; no item has a position in the request."""
    await house.click("i7")
    ranking = await house.rank(None, top_k=3)
    assert (ranking.ids, ranking.positions) == (["i7", "i6", "i8"], None)
    assert (len(house.scorer.asked[0]), ranking.candidates) == (5, 5)


async def test_the_whole_catalogue_without_seen_items(house):
    """``exclude_seen`` holds for the whole catalogue too."""
    await house.click("i7")
    assert (await house.rank(None, top_k=2, exclude_seen=True)).ids == ["i6", "i8"]


async def test_a_capped_list_of_the_whole_catalogue_looks_beyond_its_best(house):
    """Where the best five are of one kind that may be listed once, the next kind follows."""
    house.catalog.column_of_rows = lambda _, rows: ["near" if row <= 5 else "far" for row in rows]
    assert (await house.rank(None, rules=ListRules(top_k=2, max_per={"kind": 1}))).ids == ["i1", "i6"]


@pytest.mark.parametrize("error", [BudgetExceeded("late"), ScoringFailed("broken")])
async def test_the_whole_catalogue_falls_back_to_the_popular(house, error):
    """When the catalogue cannot be scored, its most popular items are the list."""
    house.scorer.catalog_error = error
    await house.click("i1")
    ranking = await house.rank(None, top_k=2, exclude_seen=True)
    assert (ranking.ids, ranking.degraded) == (["i2", "i3"], True)


async def test_weights_reach_the_model_in_the_bundles_order(house):
    """Objective weights are ordered as the bundle has them; those left out are 0, and only ratios count."""
    await house.rank(objective={"purchase": 0.5})
    assert house.scorer.weights[0].tolist() == [0.0, 1.0]
    for scale in (1.0, 1e-9, 1e-300):
        await house.rank(objective={"purchase": 2.0 * scale, "click": 0.5 * scale})
        assert house.scorer.weights.pop().tolist() == [0.25, 1.0]
    await house.rank()
    assert house.scorer.weights[1] is None


@pytest.mark.parametrize("objective", [{"fame": 1.0}, {"click": 0.0}])
async def test_an_unknown_or_empty_objective_is_refused(house, objective):
    """An objective that the bundle lacks, or weights that are all 0, are refused by name."""
    with pytest.raises(InvalidRequest) as refused:
        await house.rank(objective=objective)
    assert refused.value.path == "objective"


async def test_rules_look_at_the_scored_candidates(house):
    """``max_per`` counts the column's values among the listed."""
    ranking = await house.rank([f"i{n}" for n in range(1, 7)], rules=ListRules(top_k=6, max_per={"parity": 1}))
    assert ranking.ids == ["i1", "i2"]


async def test_a_sampled_list_is_the_same_for_the_same_seed(house):
    """The draw depends on the seed alone, and other seeds draw other lists."""
    items = [f"i{n}" for n in range(1, 11)]
    lists = [
        (await house.rank(items, rules=ListRules(top_k=10, strategy="sample", temperature=50.0, seed=seed))).ids
        for seed in (1, 1, 2)
    ]
    assert lists[0] == lists[1] != lists[2]


async def test_a_sampled_list_does_not_depend_on_rows(house):
    """Items that were added online have other rows in each replica, and two items with one text share a row."""
    rules = ListRules(top_k=12, strategy="sample", temperature=1e6, seed=3)
    items, texts = [f"i{n}" for n in range(1, 11)] + ["x", "y"], {10: "a hat", 11: "a hat"}
    ranked = [await house.rank(items, texts=texts, rules=rules)]
    house.catalog.rows = {item: row + 40 for item, row in house.catalog.rows.items()}
    ranked.append(await house.rank(items, texts=texts, rules=rules))
    assert ranked[0].ids == ranked[1].ids
    draws = [(await house.rank(items, texts=texts, rules=replace(rules, seed=seed))).ids for seed in range(20)]
    assert {abs(ids.index("x") - ids.index("y")) for ids in draws} != {1}


async def test_items_added_elsewhere_are_fetched_before_ranking(house):
    """A history that tells of a newer catalogue makes the replica catch up; if it cannot, the list says so."""
    house.store.catalog_version = 3
    house.catalog.refreshable_to = 3
    assert (await house.rank()).reasons == []
    house.store.catalog_version = 4
    assert (await house.rank()).reasons == ["catalog_behind"]


async def test_probabilities_are_calibrated_scores():
    """With a calibration each scored item has a probability, an unknown one has none; other weights have none."""

    class Halves:
        def probabilities(self, scores):
            return np.full(len(scores), 0.5, np.float32)

    house = House(Halves())
    assert (await house.rank(["i1", "x"])).probabilities == [0.5, None]
    assert (await house.rank(["i1"], objective={"click": 1.0})).probabilities is None
    house.scorer.error = ScoringFailed("broken")
    assert (await house.rank(["i1"])).probabilities is None
