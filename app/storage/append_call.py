"""What the append script is called with: events grouped by user and stream."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from app.storage.event_codec import LATEST_TIMESTAMP_MS, pack_event

if TYPE_CHECKING:
    from collections.abc import Iterable

    from app.contract.events import Event
    from app.storage.key_layout import KeyLayout, UserKeys


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryLimits:
    """How much is kept, and for how long.

    Attributes:
        kept_events: Events of a user's history; the oldest by event time go first.
        history_ttl_s: A history without a new event for so long is removed.
        log_events: Entries of the event log, about, over all partitions; 0 writes no log.
        log_retention_s: Entries of the event log older than this are removed.
        future_tolerance_ms: An event from further in the future is placed at its arrival, so that a wrong clock cannot
            hold the newest place for ever; the log keeps what it said.
    """

    kept_events: int = 200
    history_ttl_s: int = 90 * 86_400
    log_events: int = 2_000_000
    log_retention_s: int = 30 * 86_400
    future_tolerance_ms: int = 86_400_000


@dataclass(frozen=True, slots=True)
class AppendCall:
    """One call of the script: all or nothing.

    Attributes:
        keys: KEYS of the script.
        arguments: ARGV of the script.
    """

    keys: list[bytes]
    arguments: list[bytes | int]


def placed_at_ms(timestamp_ms: int, *, now_ms: int, limits: HistoryLimits) -> int:
    """Return where an event stands in the history: its own time, or ``now_ms`` when that is too far in the future."""
    if timestamp_ms > now_ms + limits.future_tolerance_ms:
        return now_ms
    return max(0, min(timestamp_ms, LATEST_TIMESTAMP_MS - 1))


def append_calls(
    events: Iterable[Event], *, layout: KeyLayout, limits: HistoryLimits, log_length: int, now_ms: int, by_slot: bool
) -> list[AppendCall]:
    """Return the calls that store the events: one, or with ``by_slot`` one for each partition concerned.

    Args:
        events: In the order that they came.
        layout: Names the keys.
        limits: What is kept.
        log_length: Entries of one stream; 0 for no log.
        now_ms: Arrival, epoch milliseconds.
        by_slot: On a Redis Cluster a call may only touch one slot.
    """
    by_user: dict[str, list[Event]] = {}
    for event in events:
        by_user.setdefault(event.user, []).append(event)
    users = [(layout.of_user(user), of_user) for user, of_user in by_user.items()]
    if not by_slot:
        groups = [users]
    else:
        by_partition: dict[int, list[tuple[UserKeys, list[Event]]]] = {}
        for keys, of_user in users:
            by_partition.setdefault(keys.partition, []).append((keys, of_user))
        groups = list(by_partition.values())
    head = [limits.kept_events, limits.history_ttl_s * 1000, log_length, limits.log_retention_s * 1000]
    return [_call(group, head=head, limits=limits, now_ms=now_ms) for group in groups]


def _call(
    users: list[tuple[UserKeys, list[Event]]], *, head: list[int], limits: HistoryLimits, now_ms: int
) -> AppendCall:
    keys: list[bytes] = []
    streams: dict[bytes, int] = {}
    arguments: list[bytes | int] = [*head, len(users)]
    for user, events in users:
        keys += (user.packed, user.details)
        stream = streams.setdefault(user.log, len(streams) + 1)
        arguments += (len(events), stream, _utf8(user.token))
        for event in events:
            arguments += (
                pack_event(
                    timestamp_ms=placed_at_ms(event.timestamp_ms, now_ms=now_ms, limits=limits),
                    item=event.item,
                    event_id=event.event_id,
                    action=event.action,
                ),
                details_of(event),
                _utf8(event.item),
                _utf8(event.action),
                event.timestamp_ms,
                _utf8(event.event_id),
            )
    return AppendCall(keys=[*keys, *streams], arguments=arguments)


def details_of(event: Event) -> bytes:
    """Return the readable part of an event, a JSON array of id, item and action; time and user stand elsewhere."""
    parts = [event.event_id, event.item, event.action]
    try:
        return msgspec.json.encode(parts)
    except UnicodeEncodeError:  # lone surrogates, which the standard library escapes
        return json.dumps(parts).encode()


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
