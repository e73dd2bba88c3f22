"""Reads the service's event log, partition by partition, from where the last run stopped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import ResponseError

from app.contract.event_log import ACTION, EVENT_ID, ITEM, KEY_PREFIX, LOG_PARTITIONS, TIMESTAMP_MS, USER, log_key
from model_export.collecting.service_redis import asked, open_redis, unreachable
from model_export.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE: Final = 1000
"""Entries of one partition that one round trip fetches."""


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """One entry of the log.

    Attributes:
        partition: Which stream.
        entry_id: Its id there, ``milliseconds-number``; the milliseconds are the server's time of arrival.
        user_id: User id, or its keyed hash where the service hides ids.
        item_id: Item id.
        action: Action name.
        timestamp_ms: What the event said, epoch milliseconds.
        event_id: Unique id.
        position: How many entries the partition had ever had, this one included, if none is missing.
    """

    partition: int
    entry_id: str
    user_id: str
    item_id: str
    action: str
    timestamp_ms: int
    event_id: str
    position: int = 0


@dataclass(frozen=True, slots=True)
class _Stream:
    """What Redis says of a partition: first and last entry, if there is one, and how many it ever had."""

    first: str | None
    last: str | None
    ever_added: int

    @classmethod
    def of(cls, info: dict[str, Any]) -> _Stream:
        first, last = (info.get(name) for name in ("first-entry", "last-entry"))
        return cls(
            first=first[0].decode() if first else None,
            last=last[0].decode() if last else None,
            ever_added=int(info.get("entries-added", -1)),
        )


class EventLogReader:
    """Reads what was logged up to the moment of its construction, so that a busy service cannot keep a run going.

    Args:
        url: ``redis://``, ``rediss://``, ``redis+cluster://``, ``rediss+cluster://`` or ``unix://``; redis-py's query
            options (``?ssl_ca_certs=...``) work.

    Attributes:
        damaged: How many entries were left out because a field is missing or no number.
        missing: How many entries were gone before anybody read them: trimmed, or deleted with their user. A partition
            of which something older than the last run's end is still there has lost nothing by trimming, and does not
            count. Redis counts what was ever added; that less what was read is missing.
        reached: Of each partition that was read to its end: its last entry and its count of entries ever added.

    Raises:
        DataError: If Redis cannot be reached.
    """

    def __init__(self, url: str) -> None:
        self._client = open_redis(url)
        self.damaged = self.missing = 0
        self.reached: dict[int, tuple[str, int]] = {}
        with self._client.pipeline(transaction=False) as pipeline:
            for partition in range(LOG_PARTITIONS):
                pipeline.xinfo_stream(log_key(partition))
            found = asked(lambda: pipeline.execute(raise_on_error=False))
        self._streams = {
            partition: _Stream.of(info) for partition, info in enumerate(found) if not _is_missing_or_raise(info)
        }

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def read_after(self, offsets: dict[int, str], positions: dict[int, int]) -> Iterator[list[LoggedEvent]]:
        """Yield events in log order a partition, some of each partition in turn.

        Args:
            offsets: The last entry of each partition that is not wanted any more; missing means from the beginning.
            positions: `LoggedEvent.position` of these entries, where it is known.

        Raises:
            DataError: If Redis fails, or a partition ends before its offset: then it is another Redis.
        """
        offsets, started_at = dict(offsets), dict(offsets)
        positions = {
            partition: positions.get(partition, 0 if partition not in offsets else -1) for partition in self._streams
        }
        self._check_same_log(offsets)
        unread = {partition for partition, stream in self._streams.items() if stream.last is not None}
        while unread:
            partitions = sorted(unread)
            with self._client.pipeline(transaction=False) as pipeline:
                for partition in partitions:
                    start = f"({offsets[partition]}" if partition in offsets else "-"
                    pipeline.xrange(log_key(partition), min=start, max=self._streams[partition].last, count=PAGE)
                pages = asked(pipeline.execute)
            events: list[LoggedEvent] = []
            for partition, page in zip(partitions, pages, strict=True):
                events += self._parsed(partition, page, positions)
                if page:
                    offsets[partition] = page[-1][0].decode()
                if len(page) < PAGE:
                    unread.discard(partition)
                    self._end(partition, started_at.get(partition), offsets.get(partition), positions[partition])
            if events:
                yield events

    def _end(self, partition: int, started_at: str | None, last: str | None, position: int) -> None:
        """Note how far a partition was read, and what nobody has read."""
        stream = self._streams[partition]
        was_trimmed = started_at is None or stream.first is None or _order(stream.first) > _order(started_at)
        if was_trimmed and 0 <= position < stream.ever_added:
            self.missing += stream.ever_added - position
        if last is not None:
            self.reached[partition] = (last, stream.ever_added)

    def _check_same_log(self, offsets: dict[int, str]) -> None:
        for partition, stream in self._streams.items():
            end = stream.last
            if end is not None and partition in offsets and _order(end) < _order(offsets[partition]):
                raise DataError(
                    f"the event log {KEY_PREFIX} ends at {end} in partition {partition}, expected at least "
                    f"{offsets[partition]}, where the last run stopped: this is another Redis, so collect into "
                    "another folder"
                )

    def _parsed(
        self, partition: int, page: list[tuple[bytes, dict[bytes, bytes]]], positions: dict[int, int]
    ) -> list[LoggedEvent]:
        events = []
        for entry_id, fields in page:
            positions[partition] += positions[partition] >= 0
            try:
                events.append(
                    LoggedEvent(
                        partition=partition,
                        entry_id=entry_id.decode(),
                        user_id=fields[USER].decode("utf-8", "replace"),
                        item_id=fields[ITEM].decode("utf-8", "replace"),
                        action=fields[ACTION].decode("utf-8", "replace"),
                        timestamp_ms=int(fields[TIMESTAMP_MS]),
                        event_id=fields[EVENT_ID].decode("utf-8", "replace"),
                        position=positions[partition],
                    )
                )
            except (KeyError, ValueError):
                self.damaged += 1
        return events


def _order(entry_id: str) -> tuple[int, int]:
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number or 0)


def _is_missing_or_raise(info: Any) -> bool:
    """Tell whether there is no such stream; raise any other error."""
    if isinstance(info, ResponseError) and "no such key" in str(info):
        return True
    if isinstance(info, Exception):
        raise unreachable(info) from info
    return False
