"""What the append script is called with."""

from __future__ import annotations

import pytest

from app.contract.event_log import partition_of
from app.contract.events import Event
from app.storage.append_call import HistoryLimits, append_calls, details_of, placed_at_ms
from app.storage.event_codec import LATEST_TIMESTAMP_MS
from app.storage.key_layout import KeyLayout

LIMITS = HistoryLimits(future_tolerance_ms=1000)


def calls_for(events, *, by_slot):
    """Return the calls for events."""
    return append_calls(events, layout=KeyLayout(), limits=LIMITS, log_length=9, now_ms=5, by_slot=by_slot)


def an_event(number, user):
    """Return an event."""
    return Event(f"e{number}", user, "lamp", "view", number)


@pytest.mark.parametrize(
    ("timestamp_ms", "placed"),
    [(0, 0), (-5, 0), (5_000, 5_000), (6_000, 6_000), (6_001, 5_000), (LATEST_TIMESTAMP_MS * 2, 5_000)],
)
def test_an_event_stands_at_its_time_unless_that_is_far_in_the_future(timestamp_ms, placed):
    """Up to the tolerance its own time counts, beyond it the arrival; before 1970 counts as 1970."""
    assert placed_at_ms(timestamp_ms, now_ms=5_000, limits=LIMITS) == placed


def test_one_server_gets_one_call():
    """Users of all partitions share a call, each with its keys, and each stream is named once."""
    (call,) = calls_for([an_event(n, f"user-{n % 40}") for n in range(80)], by_slot=False)
    streams = {partition_of(f"user-{n}") for n in range(40)}
    assert len(call.keys) == 2 * 40 + len(streams)


def test_a_cluster_gets_one_call_a_partition():
    """No call touches two partitions, and together they hold every user once."""
    calls = calls_for([an_event(n, f"user-{n % 40}") for n in range(80)], by_slot=True)
    tags = [{key.split(b"}")[0] for key in call.keys} for call in calls]
    assert all(len(tag) == 1 for tag in tags)
    assert len(calls) == len(set.union(*tags)) == len({partition_of(f"user-{n}") for n in range(40)})


def test_details_hold_what_the_packed_record_cannot():
    """Id, item and action are readable, lone surrogates too."""
    assert details_of(Event("e1", "ann", "lämp", "view", 1)) == '["e1","lämp","view"]'.encode()
    assert details_of(Event("e1", "ann", "\ud800", "view", 1)) == b'["e1", "\\ud800", "view"]'
