"""Small stand-ins for what ranking and the API talk to."""

# ruff: noqa: D102, ARG002 -- named for what they do

from __future__ import annotations

import asyncio
import time

import numpy as np

from app.contract.events import NO_HISTORY, StoredHistory
from app.contract.identity import key_of, keys_of
from app.contract.online_items import ItemDescription
from app.errors import StorageUnavailable

ACTIONS = ("click", "cart")


class FakeCatalog:
    """Items ``i1 .. iN`` in rows 1..N; the prior of row r is ``-r``; texts get new rows."""

    def __init__(self, count=10) -> None:
        self.rows = {f"i{row}": row for row in range(1, count + 1)}
        self.version = 0
        self.refreshable_to = 0
        self.texts = {}
        self.encoded = []
        self.slow_texts_s = 0.0
        self.prior = {row: -float(row) for row in self.rows.values()}

    def rows_of_ids(self, ids):
        return np.array([self.rows.get(item, 0) for item in ids], np.int64)

    def rows_of_keys(self, keys):
        by_key = {key_of(item): row for item, row in self.rows.items()}
        return np.array([by_key.get(int(key), 0) for key in keys], np.int64)

    def ids_of_rows(self, rows):
        names = {row: item for item, row in self.rows.items()}
        return [names[int(row)] for row in rows]

    def live_rows(self):
        return np.array(sorted(self.rows.values()), np.int64)

    def prior_of_rows(self, rows):
        return np.array([self.prior.get(int(row), -np.inf) for row in rows], np.float32)

    def vectors_of_rows(self, rows):
        return np.eye(64, dtype=np.float32)[np.asarray(rows) % 64]

    def column_of_rows(self, column, rows):
        return ["even" if row % 2 == 0 else "odd" for row in rows]

    async def refresh(self, stored_version):
        self.version = min(stored_version, self.refreshable_to)

    async def rows_of_texts(self, texts):
        self.encoded += texts
        await asyncio.sleep(self.slow_texts_s)
        return np.array([1000 + len(text) for text in texts], np.int64)

    async def put_items(self, items):
        for item in items:
            self.rows[item.item_id] = len(self.rows) + 1
            self.texts[item.item_id] = item.text
        self.version += 1
        return self.version

    async def delete_items(self, item_ids):
        return sum(self.rows.pop(item, None) is not None for item in item_ids)

    async def describe_item(self, item_id):
        if item_id not in self.rows:
            return None
        return ItemDescription(item_id, self.texts.get(item_id, ""), {}, -1.0, online=item_id in self.texts)


class FakeStore:
    """Histories in a dictionary; ``down`` makes every call fail, ``slow_s`` reads late; ``allowed_s``: their limits."""

    def __init__(self) -> None:
        self.events = {}
        self.down = False
        self.slow_s = 0.0
        self.catalog_version = 0
        self.allowed_s = []

    async def read(self, user, *, timeout_s):
        self.allowed_s.append(timeout_s)
        if self.down or self.slow_s > timeout_s:
            await asyncio.sleep(min(self.slow_s, timeout_s))
            raise StorageUnavailable("Redis did not answer")
        events = self.events.get(user, [])
        if not events and not self.catalog_version:
            return NO_HISTORY
        return StoredHistory(
            keys_of([event.item for event in events]),
            keys_of([event.action for event in events]),
            np.array([event.timestamp_ms for event in events], np.int64),
            self.catalog_version,
        )

    async def append(self, events):
        if self.down:
            raise StorageUnavailable("Redis did not acknowledge")
        known = {event.event_id for stored in self.events.values() for event in stored}
        new = [event for event in events if event.event_id not in known]
        for event in new:
            self.events.setdefault(event.user, []).append(event)
        return len(new)

    async def recent_events(self, user):
        if self.down:
            raise StorageUnavailable("Redis did not answer")
        return list(reversed(self.events.get(user, [])))

    async def forget(self, user):
        if self.down:
            raise StorageUnavailable("Redis did not answer")
        return {"history_events": len(self.events.pop(user, []))}


class FakeScorer:
    """A candidate's score is minus its distance to the newest event's row, or its row; errors on demand."""

    def __init__(self) -> None:
        self.error = None
        self.catalog_error = None
        self.most = None
        self.waiting = 0
        self.full = None
        self.asked = []
        self.weights = []
        self.alone = []
        self.delay_s = 0.0

    async def score(self, history, candidate_rows_C, *, objective_weights_O, deadline_s, alone=False):
        assert deadline_s > time.monotonic() - 1
        self.asked.append(candidate_rows_C)
        self.weights.append(objective_weights_O)
        self.alone.append(alone)
        await asyncio.sleep(self.delay_s)
        if self.error is not None:
            raise self.error
        newest = history.rows_H[-1] if len(history) else 0
        return -np.abs(candidate_rows_C - newest).astype(np.float32)

    async def score_catalog(self, history, *, deadline_s):
        if self.catalog_error is not None:
            raise self.catalog_error
        newest = history.rows_H[-1] if len(history) else 0
        return -np.abs(np.arange(11) - newest).astype(np.float32)

    def affordable(self, candidates, *, deadline_s):
        return candidates if self.most is None else min(self.most, candidates)

    def refuse_if_full(self):
        if self.full is not None:
            raise self.full
