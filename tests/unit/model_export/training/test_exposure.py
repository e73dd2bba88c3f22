"""Popularity as a rate."""

from __future__ import annotations

import numpy as np
import pytest

from model_export.training.exposure import exposure_correction
from tests.small_data import dataset_of

START_S = 1_600_000_000
GAPS_S = np.random.default_rng(4).integers(10, 5_000, 100)
TIMES_S = START_S + np.cumsum(GAPS_S)


def one_after_the_other(rows):
    """A dataset of one event at a time, of two users in turns."""
    events = list(zip(rows, TIMES_S[: len(rows)].tolist(), strict=True))
    return dataset_of([events[0::2], events[1::2]], items=max(rows) + 1)


def test_an_item_that_was_there_for_a_tenth_of_the_events_is_ten_times_as_popular():
    """Item 2 came for the last ten of a hundred events and has five: as often as item 1 in its time."""
    data = one_after_the_other([1] * 90 + [2, 1] * 5)
    correction = exposure_correction(data, data.user_offsets[1:])
    assert correction[1] == 0.0
    assert correction[2] == pytest.approx(np.log(10) * (1 - 1 / 5), rel=1e-6)


def test_one_event_is_no_rate_and_none_is_nothing():
    """Items with one event or none keep what they have; neither does padding get anything."""
    data = one_after_the_other([1] * 50 + [2] + [1] * 9)
    assert exposure_correction(data, data.user_offsets[1:]).tolist() == [0.0, 0.0, 0.0, 0.0]


def test_only_training_events_are_looked_at():
    """What lies behind a user's end is not known yet."""
    data = one_after_the_other([1] * 90 + [2, 1] * 5)
    assert exposure_correction(data, data.user_offsets[:-1] + 45).tolist() == [0.0] * 4


def test_running_numbers_are_no_times():
    """Without real times nobody knows since when an item is there."""
    data = dataset_of([[(1, 1), (1, 2), (1, 3), (2, 4)], [(1, 5), (2, 6)]], items=2)
    assert not exposure_correction(data, data.user_offsets[1:]).any()
