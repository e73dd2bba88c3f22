"""Packing and decoding of events."""

from __future__ import annotations

import numpy as np

from app.contract.identity import key_of
from app.storage.event_codec import RECORD_BYTES, decode_history, pack_event


def test_a_packed_event_decodes_to_its_keys():
    """Item and action come back as the contract's 64-bit keys, in the contract's dtypes."""
    record = pack_event(timestamp_ms=123, item="lamp", event_id="e1", action="view")
    history = decode_history(record).history
    assert len(record) == RECORD_BYTES == 32
    assert history.item_keys_E.tolist() == [key_of("lamp")]
    assert history.action_keys_E.tolist() == [key_of("view")]
    assert history.timestamps_ms_E.tolist() == [123]
    dtypes = (history.item_keys_E.dtype, history.action_keys_E.dtype, history.timestamps_ms_E.dtype)
    assert dtypes == (np.uint64, np.uint64, np.int64)


def test_the_event_key_lies_where_the_script_looks():
    """Bytes 16 to 24 of a record are the event id's key, little-endian."""
    record = pack_event(timestamp_ms=123, item="lamp", event_id="e1", action="view")
    assert int.from_bytes(record[16:24], "little") == key_of("e1")


def test_no_bytes_are_an_empty_history_with_its_version():
    """A user without events still learns the items' version."""
    decoded = decode_history(b"", catalog_version=4)
    assert (len(decoded.history), decoded.damaged, decoded.history.catalog_version) == (0, 0, 4)


def test_arrays_can_be_written_to():
    """The arrays do not share the reply's read-only memory."""
    record = pack_event(timestamp_ms=123, item="lamp", event_id="e1", action="view")
    assert decode_history(record).history.timestamps_ms_E.flags.writeable
