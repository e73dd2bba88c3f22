"""Recent behaviour in Redis: one packed string a user, read in one round trip, written by one script."""

from __future__ import annotations

import json
import logging
import struct
import time
from typing import TYPE_CHECKING, Final

import numpy as np

from app.contract.event_log import LOG_PARTITIONS, USER
from app.contract.events import Event
from app.errors import StorageUnavailable
from app.storage.append_call import HistoryLimits, append_calls
from app.storage.append_script import APPEND_SCRIPT, APPEND_SHA
from app.storage.circuit_breaker import SAID_AGAIN_AFTER_S
from app.storage.event_codec import RECORD, RECORD_BYTES, decode_history
from app.storage.redis_failures import FAILURES
from app.storage.script_runner import run_script

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.contract.events import StoredHistory
    from app.storage.circuit_breaker import CircuitBreaker
    from app.storage.connection import RedisConnection
    from app.storage.key_layout import KeyLayout, UserKeys

_SCAN_PAGE: Final = 1000

logger = logging.getLogger(__name__)


class RedisHistory:
    """Satisfies `app.ranking.ports.HistoryStore`.

    Args:
        redis: Where it is kept; opened and closed by the caller.
        breaker: Guards `read`. Writes do not ask it: they have a longer time limit and no fallback.
        layout: Names the keys.
        limits: How much is kept, and for how long.
        blamed_after_s: A read that gave up earlier than this, because its caller had less time, does not count as a
            failure of Redis.
        clock_ms: Epoch milliseconds.

    Attributes:
        damaged_records: How many stored records were ignored because their bytes make no sense.
    """

    def __init__(
        self,
        redis: RedisConnection,
        *,
        breaker: CircuitBreaker,
        layout: KeyLayout,
        limits: HistoryLimits,
        blamed_after_s: float = 0.02,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._redis = redis
        self._breaker = breaker
        self._layout = layout
        self._limits = limits
        self._blamed_after_s = blamed_after_s
        self._clock_ms = clock_ms
        self._log_length = -(-limits.log_events // LOG_PARTITIONS)
        self._said_again_at_s = float("-inf")
        self.damaged_records = 0

    async def read(self, user: str, *, timeout_s: float) -> StoredHistory:
        """Return the user's recent events, oldest first, and the items' version, in one round trip.

        Raises:
            StorageUnavailable: If Redis did not answer within ``timeout_s``, or its circuit is open.
        """
        self._breaker.require_closed()
        keys = self._layout.of_user(user)
        reader = self._redis.reader
        started_s, stalls = time.monotonic(), reader.stalls
        try:
            packed, version = await reader.get_two(keys.packed, keys.catalog_version, timeout_s=timeout_s)
        except StorageUnavailable as error:
            waited_s = time.monotonic() - started_s
            if waited_s < 0.9 * timeout_s or waited_s >= 0.9 * self._blamed_after_s or reader.stalls > stalls:
                self._breaker.failed(error)
            raise
        self._breaker.succeeded()
        decoded = decode_history(packed or b"", catalog_version=int(version) if version and version.isdigit() else 0)
        self.damaged_records += decoded.damaged
        return decoded.history

    async def ping(self) -> None:
        """Return when Redis answers as fast as the rank path needs; for the recovery probe.

        Raises:
            StorageUnavailable: If it does not.
        """
        await self._redis.reader.ping(timeout_s=self._blamed_after_s)

    async def append(self, events: Sequence[Event]) -> int:
        """Store events and their log entries; return how many are new (an id that the history holds counts once).

        On one server all events are stored or none. On a cluster that holds for the events of one partition: a failure
        may leave some partitions stored, but nothing is acknowledged, and the same call again stores the rest only.

        Raises:
            StorageUnavailable: If Redis did not acknowledge all of them.
        """
        if not events:
            return 0
        calls = append_calls(
            events,
            layout=self._layout,
            limits=self._limits,
            log_length=self._log_length,
            now_ms=self._clock_ms(),
            by_slot=self._redis.is_cluster,
        )
        try:
            return await run_script(
                self._redis, APPEND_SCRIPT, APPEND_SHA, [(call.keys, call.arguments) for call in calls]
            )
        except FAILURES as error:
            failure = self._redis.failure(error, doing="store the events")
            self._say(failure)
            raise failure from error

    def _say(self, failure: StorageUnavailable) -> None:
        now_s = time.monotonic()
        if now_s >= self._said_again_at_s:
            self._said_again_at_s = now_s + SAID_AGAIN_AFTER_S
            logger.error("events are refused: %s", failure)

    async def recent_events(self, user: str) -> list[Event]:
        """Return the user's events in full, newest first.

        Raises:
            StorageUnavailable: If Redis did not answer.
        """
        keys = self._layout.of_user(user)
        try:
            pipeline = self._redis.client.pipeline(transaction=not self._redis.is_cluster)
            pipeline.get(keys.packed)
            pipeline.hgetall(keys.details)
            packed, details = await pipeline.execute()
        except FAILURES as error:
            raise self._redis.failure(error, doing="read the user's events") from error
        return list(reversed(_readable(user, packed or b"", details)))

    async def forget(self, user: str) -> dict[str, int]:
        """Remove the user's history and log entries; return how many of each there were.

        The log is searched page by page: one partition, that is one `LOG_PARTITIONS`-th of it. Events that arrive
        meanwhile are new ones and may stay.

        Raises:
            StorageUnavailable: If Redis did not answer; what was removed so far stays removed, call again.
        """
        keys = self._layout.of_user(user)
        try:
            pipeline = self._redis.client.pipeline(transaction=not self._redis.is_cluster)
            pipeline.strlen(keys.packed)
            pipeline.delete(keys.packed)
            pipeline.delete(keys.details)
            packed_bytes, *_ = await pipeline.execute()
            log_entries = await self._forget_in_log(keys)
        except FAILURES as error:
            raise self._redis.failure(error, doing="forget the user") from error
        return {"history_events": packed_bytes // RECORD_BYTES, "log_entries": log_entries}

    async def _forget_in_log(self, keys: UserKeys) -> int:
        client = self._redis.client
        token = keys.token.encode("utf-8", "surrogatepass")
        removed, start = 0, b"-"
        while page := await client.xrange(keys.log, min=start, count=_SCAN_PAGE):
            found = [entry for entry, fields in page if fields.get(USER) == token]
            if found:
                removed += await client.xdel(keys.log, *found)
            start = b"(" + page[-1][0]
        return removed


def _readable(user: str, packed: bytes, details: dict[bytes, bytes]) -> list[Event]:
    """Join records and details by event key, oldest first; events that lack one of the two are left out."""
    records = np.frombuffer(packed, dtype=RECORD, count=len(packed) // RECORD_BYTES)
    events = []
    for timestamp_ms, event_key in zip(records["timestamp_ms"].tolist(), records["event"].tolist(), strict=True):
        found = details.get(struct.pack("<Q", event_key))
        if found is not None:
            event_id, item, action = json.loads(found)
            events.append(Event(event_id=event_id, user=user, item=item, action=action, timestamp_ms=timestamp_ms))
    return events
