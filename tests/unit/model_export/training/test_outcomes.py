"""What a request can weigh."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from model_export.training.outcomes import outcomes_of
from tests.small_data import dataset_of

DATA = dataset_of([[(1, 1), (2, 2, 1), (3, 3), (1, 4)]], items=3)


def test_several_actions_are_the_outcomes():
    """Each event's outcome is its action."""
    outcomes = outcomes_of(DATA)
    assert outcomes.names == ("view", "cart", "purchase")
    assert outcomes.of_events.tolist() == [0, 1, 0, 0]
    assert outcomes.default_objective() == {"view": 1.0, "cart": 1.0, "purchase": 1.0}


def test_ratings_are_cut_where_they_halve():
    """The threshold is the rating with about half of the events at or above it."""
    rated = replace(DATA, actions=("rate",), ratings=np.array([1, 4, 5, 2], np.float32))
    outcomes = outcomes_of(rated)
    assert outcomes.names == ("rating<4", "rating>=4")
    assert outcomes.of_events.tolist() == [0, 1, 1, 0]


def test_one_action_without_ratings_is_one_outcome():
    """Nothing can be weighed."""
    outcomes = outcomes_of(replace(DATA, actions=("buy",)))
    assert outcomes.names == ("buy",)
    assert not outcomes.of_events.any()
