"""Packed events: the 32-byte records that a stored history is made of."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

import numpy as np

from app.contract.events import NO_HISTORY, StoredHistory
from app.contract.identity import key_of

RECORD: Final = np.dtype([("timestamp_ms", "<i8"), ("item", "<u8"), ("event", "<u8"), ("action", "<u8")])
"""One event: epoch milliseconds, then `app.contract.identity.key_of` of item id, event id and action; little-endian."""

RECORD_BYTES: Final = RECORD.itemsize

LATEST_TIMESTAMP_MS: Final = 1 << 47
"""Year 6429. Redis scripts compare timestamps as doubles, exact to 2^53; later ones are taken for damaged bytes."""

_PACK: Final = struct.Struct("<qQQQ").pack


def pack_event(*, timestamp_ms: int, item: str, event_id: str, action: str) -> bytes:
    """Return the record of one event, `RECORD_BYTES` long.

    Raises:
        struct.error: If the timestamp does not fit 64 bits.
    """
    return _PACK(timestamp_ms, key_of(item), key_of(event_id), key_of(action))


def event_key_of(record: bytes) -> bytes:
    """Return the 8 bytes of a record that stand for the event's id."""
    return record[16:24]


@dataclass(frozen=True, slots=True)
class DecodedHistory:
    """What was read from one packed string.

    Attributes:
        history: The sound events.
        damaged: How many records were ignored: timestamps out of range, or bytes at the end that make no record.
    """

    history: StoredHistory
    damaged: int


def decode_history(packed: bytes, *, catalog_version: int = 0) -> DecodedHistory:
    """Decode a packed history without a Python loop.

    The result is in event-time order, ties in stored order, no event twice (the first in stored order stays). Damaged
    bytes never raise: they are left out and counted.

    >>> record = pack_event(timestamp_ms=1000, item="lamp", event_id="e1", action="view")
    >>> decode_history(record + record + b"cut").history.timestamps_ms_E
    array([1000])

    Args:
        packed: Records end to end, as the store keeps them.
        catalog_version: Handed through to the result.
    """
    whole = len(packed) // RECORD_BYTES
    damaged = int(len(packed) % RECORD_BYTES > 0)
    if not whole and not damaged and not catalog_version:
        return DecodedHistory(NO_HISTORY, 0)
    records = np.frombuffer(packed, dtype=RECORD, count=whole)
    timestamps = records["timestamp_ms"]
    sound = timestamps.view(np.uint64) < LATEST_TIMESTAMP_MS
    if not sound.all():
        damaged += int(whole - np.count_nonzero(sound))
        records = records[sound]
        timestamps = records["timestamp_ms"]
    if not _is_ordered_and_unique(records):
        records = _in_order_without_duplicates(records)
        timestamps = records["timestamp_ms"]
    history = StoredHistory(
        item_keys_E=records["item"].astype(np.uint64),
        action_keys_E=records["action"].astype(np.uint64),
        timestamps_ms_E=timestamps.astype(np.int64),
        catalog_version=catalog_version,
    )
    return DecodedHistory(history, damaged)


def _is_ordered_and_unique(records: np.ndarray) -> bool:
    """Tell whether there is nothing to repair, which the server's script sees to: the usual case, cheaply told."""
    timestamps = records["timestamp_ms"]
    if not (timestamps[1:] >= timestamps[:-1]).all():
        return False
    events = np.sort(records["event"])
    return not (events[1:] == events[:-1]).any()


def _in_order_without_duplicates(records: np.ndarray) -> np.ndarray:
    """Return the records by time, ties and duplicates by stored position."""
    _, first = np.unique(records["event"], return_index=True)
    records = records[np.sort(first)]
    return records[np.argsort(records["timestamp_ms"], kind="stable")]
