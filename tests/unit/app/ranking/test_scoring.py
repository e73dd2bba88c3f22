"""The whole catalogue is scored, but for what may not be listed and what has no score yet."""

from __future__ import annotations

import asyncio

import pytest

from tests.ranking_house import House


@pytest.fixture
def house():
    return House()


async def test_seen_items_never_fill_up_a_list_of_the_whole_catalogue(house):
    """With eight of ten items seen the list has two, however many were asked."""
    for number in range(1, 9):
        await house.click(f"i{number}", 1000 + number)
    ranking = await house.rank(None, exclude_seen=True)
    assert sorted(ranking.ids) == ["i10", "i9"]


async def test_an_item_that_came_after_the_table_was_read_has_no_score_yet(house):
    """Its row lies beyond the scores; with a deleted item before it, so does no count of items tell."""
    del house.catalog.rows["i3"]
    house.catalog.rows["i11"] = 11
    ranking = await house.rank(None, top_k=20)
    assert "i11" not in ranking.ids
    assert len(ranking.ids) == 9


async def test_seen_items_count_whatever_was_done_with_them(house):
    """An event of an action that this bundle does not know is no event to the model, but the item was seen."""
    await house.click("i2", action="wave")
    ranking = await house.rank(["i1", "i2"], exclude_seen=True)
    assert (ranking.ids, ranking.history_used) == (["i1"], 0)


async def test_a_list_of_the_whole_catalogue_may_be_longer_than_what_is_rescored(house):
    """Five are scored in full by default, and as many as are asked for."""
    assert len((await house.rank(None, top_k=8)).ids) == 8


async def test_the_model_is_told_whether_another_request_is_under_way(house):
    """Only a request that is alone may keep the event loop to itself; the next one, too, when that has ended."""
    house.scorer.delay_s = 0.01
    await asyncio.gather(house.rank(), house.rank())
    await house.rank()
    assert house.scorer.alone == [True, False, True]


async def test_texts_take_half_of_the_time_at_most(house):
    """What the encoder would still manage within the budget leaves the model too little."""
    house.catalog.slow_texts_s = 0.3
    ranking = await house.rank(["x", "i1"], texts={0: "blue shoes"}, timeout_s=0.4)
    assert (ranking.ids, ranking.reasons) == (["i1", "x"], ["texts_unavailable"])
