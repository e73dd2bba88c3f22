"""What an event could choose among."""

from __future__ import annotations

import numpy as np
import pytest

from model_export.training.arrivals import arrivals
from tests.small_data import dataset_of

START_S = 1_600_000_000
GAPS_S = np.random.default_rng(4).integers(10, 5_000, 200)
TIMES_S = START_S + np.cumsum(GAPS_S)


def one_after_the_other(rows):
    """A dataset of one event at a time, of two users in turns: user 0 has the even ones."""
    events = list(zip(rows, TIMES_S[: len(rows)].tolist(), strict=True))
    return dataset_of([events[0::2], events[1::2]], items=max(rows) + 1)


def arrivals_of(data, *, asked_s=(), ends=None):
    """The arrivals of all training events, with questions at given seconds."""
    asked_ms = 1000 * np.array(asked_s, np.int64)
    return arrivals(data, data.user_offsets[1:] if ends is None else ends, asked_ms)


def test_an_event_chooses_among_what_was_there():
    """Item 2 comes late: early events choose among item 1 alone, and item 2's own events among both."""
    data = one_after_the_other([1] * 90 + [2, 1] * 5)
    came = arrivals_of(data)
    assert came.rows_A.tolist() == [1, 2]
    assert came.available_E[:40].tolist() == [1] * 40
    assert (came.available_E[data.rows == 2] == 2).all()


def test_a_rare_item_is_not_late_by_chance():
    """One or two events in the second half say nothing; ten of them do."""
    rows = [1] * 60 + [2, 3, 3] + [1] * 7 + [4] * 10
    came = arrivals_of(one_after_the_other(rows))
    assert set(came.rows_A[:3].tolist()) == {1, 2, 3}
    assert came.available_E[:20].tolist() == [3] * 20
    assert came.rows_A[3] == 4


def test_a_late_item_was_there_a_gap_before_its_first_event():
    """Ten events in the last ten of a hundred: it came an event before the first one."""
    data = one_after_the_other([1] * 90 + [2] * 10)
    available = arrivals_of(data).available_E[np.argsort(data.timestamps_ms)]
    assert available.tolist() == [1] * 89 + [2] * 11


def test_offsets_make_up_for_the_questions_asked_before():
    """An item that was there for 4 of 9 questions (and one that is made up) has an offset of log 2, others none."""
    data = one_after_the_other([1] * 90 + [2] * 10)
    asked = [*TIMES_S[:50:10].tolist(), *TIMES_S[92:96].tolist()]
    assert arrivals_of(data, asked_s=asked).offsets_A.tolist() == [0.0, pytest.approx(np.log(2.0))]
    assert arrivals_of(data, asked_s=TIMES_S[95:99].tolist()).offsets_A.tolist() == [0.0, 0.0]
    assert arrivals_of(data).offsets_A.tolist() == [0.0, 0.0]


def test_every_target_was_there():
    """Whatever the data, an event's own item is among those that it chose from, and items never leave."""
    rows = np.concatenate([1 + np.random.default_rng(0).zipf(1.5, 150) % 50, np.arange(50) % 5 + 60])
    data = one_after_the_other(rows.tolist())
    came = arrivals_of(data)
    place_N = {row: place for place, row in enumerate(came.rows_A.tolist())}
    assert all(place_N[row] < there for row, there in zip(data.rows.tolist(), came.available_E.tolist(), strict=True))
    in_time = came.available_E[np.argsort(data.timestamps_ms)]
    assert (np.diff(in_time) >= 0).all()
    assert in_time[0] == len(came.rows_A) - 5


def test_only_training_events_are_looked_at():
    """An item whose events all lie behind its users' ends has not come."""
    data = one_after_the_other([1] * 90 + [2, 1] * 5)
    assert arrivals_of(data, ends=data.user_offsets[:-1] + 45).rows_A.tolist() == [1]


def test_running_numbers_are_no_times():
    """Without real times nobody knows since when an item is there: all always were."""
    data = dataset_of([[(1, 1), (1, 2), (1, 3), (2, 4)], [(1, 5), (2, 6)]], items=3)
    came = arrivals_of(data, asked_s=[3])
    assert came.rows_A.tolist() == [1, 2]
    assert came.available_E.tolist() == [2] * 6
    assert came.offsets_A.tolist() == [0.0, 0.0]
