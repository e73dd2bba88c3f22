"""Decoding packed histories, against an obvious slow version."""

from __future__ import annotations

import struct

from hypothesis import example, given
from hypothesis import strategies as st

from app.storage.event_codec import LATEST_TIMESTAMP_MS, RECORD_BYTES, decode_history

timestamps = st.one_of(st.integers(0, 20), st.integers(0, LATEST_TIMESTAMP_MS - 1), st.integers(-(2**63), 2**63 - 1))
keys = st.one_of(st.integers(0, 5), st.integers(0, 2**64 - 1))
records = st.lists(st.tuples(timestamps, keys, keys, keys), max_size=60)


def slow_decode(packed):
    """Return sound events as ``(time, item, action)`` and the number of damaged ones, one record at a time."""
    events, seen, damaged = [], set(), 0
    for start in range(0, len(packed), RECORD_BYTES):
        record = packed[start : start + RECORD_BYTES]
        if len(record) < RECORD_BYTES:
            damaged += 1
            continue
        time, item, event, action = struct.unpack("<qQQQ", record)
        if not 0 <= time < LATEST_TIMESTAMP_MS:
            damaged += 1
        elif event not in seen:
            seen.add(event)
            events.append((time, item, action))
    return sorted(events, key=lambda event: event[0]), damaged


def check(packed):
    """Compare both versions."""
    decoded = decode_history(packed, catalog_version=3)
    history = decoded.history
    found = zip(
        history.timestamps_ms_E.tolist(), history.item_keys_E.tolist(), history.action_keys_E.tolist(), strict=True
    )
    assert (list(found), decoded.damaged) == slow_decode(packed)
    assert history.catalog_version == 3


@given(records)
def test_records_decode_as_the_slow_version_says(events):
    """Order, duplicates and damaged timestamps come out as by the loop."""
    check(b"".join(struct.pack("<qQQQ", *event) for event in events))


@given(records, st.integers(0, RECORD_BYTES))
def test_a_cut_string_loses_only_its_last_record(events, cut):
    """Whatever the length, whole records decode and the rest counts as one damaged."""
    packed = b"".join(struct.pack("<qQQQ", *event) for event in events)
    check(packed[: len(packed) - cut])


@given(st.binary(max_size=400))
@example(b"")
def test_arbitrary_bytes_never_raise(packed):
    """Bytes of another program decode like by the loop: mostly to nothing."""
    check(packed)
