"""A list has its length and says what it rests on, whatever it was made of."""

from __future__ import annotations

import pytest

from app.errors import ScoringFailed
from tests.ranking_house import House


@pytest.fixture
def house():
    return House()


async def test_unknown_items_fill_a_list_up_to_its_length(house):
    """They come after the scored ones, and no more of them than there is room."""
    ranking = await house.rank(["x", "i2", "y", "z"], top_k=2)
    assert (ranking.ids, ranking.positions, ranking.unknown) == (["i2", "x"], [1, 0], ["x", "y", "z"])
    assert (await house.rank(["x", "i2", "y"], top_k=1)).ids == ["i2"]


@pytest.mark.parametrize("length", [7, 8, 9])
async def test_candidates_that_time_left_out_fill_a_list_up_to_its_length(house, length):
    """Eight are scored; of the other two no more are listed than there is room."""
    house.scorer.most = 8
    ranking = await house.rank([f"i{n}" for n in range(1, 11)], top_k=length)
    assert ranking.ids == [f"i{n}" for n in range(1, 10)][:length]
    assert len(ranking.scores) == len(ranking.positions) == length


async def test_a_list_by_prior_rests_on_no_history(house):
    """What was read and not used is not reported as used."""
    await house.click("i3")
    house.scorer.error = ScoringFailed("broken")
    ranking = await house.rank()
    assert (ranking.history_used, ranking.newest_age_ms, ranking.scored_items) == (0, None, 0)
    assert ranking.history_source == "redis"
