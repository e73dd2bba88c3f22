"""Raw events become what the graph takes."""

from __future__ import annotations

import numpy as np
import pytest

from app.contract.encoding import encode_history, pack_histories


def encoded(rows, timestamps_ms, *, history_length=10):
    """Return rows and ages of a history of events whose action is their place; now is 10 s."""
    history = encode_history(
        np.array(rows), np.arange(len(rows)), np.array(timestamps_ms), now_ms=10_000, history_length=history_length
    )
    return history.rows_H.tolist(), history.actions_H.tolist(), history.age_s_H.tolist()


def test_an_event_from_the_future_has_the_age_0():
    """A clock that is ahead makes no negative age, and touches no other event's."""
    assert encoded([1, 2, 3], [9_000, 11_000, 99_000]) == ([1, 2, 3], [0, 1, 2], [1.0, 0.0, 0.0])


def test_events_are_put_in_time_order_and_ties_stay():
    """Oldest first; of one moment in the order in which they were given."""
    assert encoded([1, 2, 3, 4], [8_000, 5_000, 8_000, 5_000]) == ([2, 4, 1, 3], [1, 3, 0, 2], [5.0, 5.0, 2.0, 2.0])


def test_unknown_items_leave_before_the_history_is_cut():
    """The latest two known events are read, not what is known of the latest two."""
    assert encoded([1, 2, 3, 0, 0], [1, 2, 3, 4, 5], history_length=2) == (
        [2, 3],
        [1, 2],
        pytest.approx([9.998, 9.997]),
    )


def test_a_history_longer_than_its_place_is_refused():
    """The sentence has both lengths."""
    history = encode_history(np.arange(1, 6), np.zeros(5, int), np.arange(5), now_ms=9, history_length=5)
    with pytest.raises(ValueError, match="a history has 5 events, expected at most 4"):
        pack_histories([history], padded_length=4)
