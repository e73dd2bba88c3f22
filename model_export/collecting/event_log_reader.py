"""Reads the service's event log, partition by partition, from where the last run stopped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import redis
from redis.exceptions import RedisClusterException, RedisError

from app.contract.event_log import ACTION, EVENT_ID, ITEM, KEY_PREFIX, LOG_PARTITIONS, TIMESTAMP_MS, USER, log_key
from model_export.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE: Final = 1000
"""Entries of one partition that one round trip fetches."""

_CLUSTER_SCHEMES: Final = {"redis+cluster": "redis", "rediss+cluster": "rediss"}


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
    """

    partition: int
    entry_id: str
    user_id: str
    item_id: str
    action: str
    timestamp_ms: int
    event_id: str


class EventLogReader:
    """Reads what was logged up to the moment of its construction, so that a busy service cannot keep a run going.

    Args:
        url: ``redis://``, ``rediss://``, ``redis+cluster://``, ``rediss+cluster://`` or ``unix://``; redis-py's query
            options (``?ssl_ca_certs=...``) work.

    Attributes:
        damaged: How many entries were left out because a field is missing or no number.

    Raises:
        DataError: If Redis cannot be reached.
    """

    def __init__(self, url: str) -> None:
        self._client = _open(url)
        self.damaged = 0
        with self._client.pipeline(transaction=False) as pipeline:
            for partition in range(LOG_PARTITIONS):
                pipeline.xrevrange(log_key(partition), count=1)
            newest = _asked(pipeline.execute)
        self._ends = {partition: page[0][0].decode() for partition, page in enumerate(newest) if page}

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def read_after(self, offsets: dict[int, str]) -> Iterator[list[LoggedEvent]]:
        """Yield events in log order a partition, some of each partition in turn.

        Args:
            offsets: The last entry of each partition that is not wanted any more; missing means from the beginning.

        Raises:
            DataError: If Redis fails, or a partition ends before its offset: then it is another Redis.
        """
        offsets = dict(offsets)
        self._check_same_log(offsets)
        unread = set(self._ends)
        while unread:
            asked = sorted(unread)
            with self._client.pipeline(transaction=False) as pipeline:
                for partition in asked:
                    start = f"({offsets[partition]}" if partition in offsets else "-"
                    pipeline.xrange(log_key(partition), min=start, max=self._ends[partition], count=PAGE)
                pages = _asked(pipeline.execute)
            events: list[LoggedEvent] = []
            for partition, page in zip(asked, pages, strict=True):
                events += self._parsed(partition, page)
                if page:
                    offsets[partition] = page[-1][0].decode()
                if len(page) < PAGE:
                    unread.discard(partition)
            if events:
                yield events

    def _check_same_log(self, offsets: dict[int, str]) -> None:
        for partition, end in self._ends.items():
            if partition in offsets and _order(end) < _order(offsets[partition]):
                raise DataError(
                    f"the event log {KEY_PREFIX} ends at {end} in partition {partition}, expected at least "
                    f"{offsets[partition]}, where the last run stopped: this is another Redis, so collect into "
                    "another folder"
                )

    def _parsed(self, partition: int, page: list[tuple[bytes, dict[bytes, bytes]]]) -> list[LoggedEvent]:
        events = []
        for entry_id, fields in page:
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
                    )
                )
            except (KeyError, ValueError):
                self.damaged += 1
        return events


def _order(entry_id: str) -> tuple[int, int]:
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number or 0)


def _open(url: str) -> Any:
    scheme = url.partition("://")[0]
    try:
        if scheme in _CLUSTER_SCHEMES:
            return redis.RedisCluster.from_url(url.replace(scheme, _CLUSTER_SCHEMES[scheme], 1), protocol=2)
        return redis.Redis.from_url(url, protocol=2)
    except ValueError as error:
        raise DataError(
            "--redis is no URL of Redis, expected redis://, rediss://, redis+cluster:// or unix://"
        ) from error
    except (RedisError, RedisClusterException, OSError) as error:
        raise _unreachable(error) from error


def _asked(ask: Any) -> Any:
    try:
        return ask()
    except (RedisError, RedisClusterException, OSError) as error:
        raise _unreachable(error) from error


def _unreachable(error: Exception) -> DataError:
    return DataError(
        f"the event log cannot be read from Redis ({type(error).__name__}); run the command again to go on"
    )
