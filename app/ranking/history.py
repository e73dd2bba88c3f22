"""The history of the user who is ranked for: read, matched with the catalogue, encoded."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from app.contract.encoding import EMPTY_HISTORY, EncodedHistory, encode_history
from app.contract.events import NO_HISTORY
from app.errors import BudgetExceeded, StorageUnavailable
from app.ranking.budget import HISTORY_SHARE
from app.ranking.fallback import Reason

if TYPE_CHECKING:
    from app.contract.events import StoredHistory
    from app.contract.tensors import Int64Array
    from app.ranking.actions import ActionIds
    from app.ranking.ports import HistoryStore, ItemCatalog
    from app.ranking.query import HistorySource, RankQuery


@dataclass(frozen=True, slots=True)
class UserHistory:
    """A user's history, ready for the model.

    Attributes:
        encoded: What the model reads.
        seen_rows: ``int64[E]`` rows of every stored event, also those beyond what the model reads.
        source: Where it came from.
        stored: The events as they were stored.
        newest_age_ms: Age of the newest event that the model reads, exact where its seconds in float32 are not.
        reasons: What went wrong.
    """

    encoded: EncodedHistory
    seen_rows: Int64Array
    source: HistorySource
    stored: StoredHistory
    newest_age_ms: int | None = None
    reasons: tuple[Reason, ...] = ()


class HistoryReader:
    """Gets the history of a request from the request or the store."""

    def __init__(
        self,
        store: HistoryStore,
        catalog: ItemCatalog,
        actions: ActionIds,
        *,
        history_length: int,
        store_timeout_s: float,
    ) -> None:
        """Take the parts.

        Args:
            store: Where histories are kept.
            catalog: Where items become rows.
            actions: Where actions become ids.
            history_length: How many events the model reads.
            store_timeout_s: The longest that the store is waited for.
        """
        self._store = store
        self._catalog = catalog
        self._actions = actions
        self._history_length = history_length
        self._store_timeout_s = store_timeout_s

    async def read(self, query: RankQuery) -> UserHistory:
        """Return the history of a request; without the store, an empty one with the reason."""
        if query.history is not None or query.user is None:
            return self._encode(query.history or NO_HISTORY, query.now_ms, "request")
        try:
            timeout_s = query.budget.history_timeout_s(self._store_timeout_s)
            stored = await self._store.read(query.user, timeout_s=timeout_s)
        except (StorageUnavailable, BudgetExceeded):
            nothing = np.empty(0, np.int64)
            return UserHistory(EMPTY_HISTORY, nothing, "unavailable", NO_HISTORY, reasons=(Reason.HISTORY_UNAVAILABLE,))
        reasons: tuple[Reason, ...] = ()
        if stored.catalog_version > self._catalog.version:
            reasons = await self._catch_up(stored.catalog_version, query)
        return self._encode(stored, query.now_ms, "redis", reasons)

    async def _catch_up(self, version: int, query: RankQuery) -> tuple[Reason, ...]:
        """Learn the items that other replicas added, if that can be done in time."""
        try:
            async with asyncio.timeout(max(query.budget.left_s() * HISTORY_SHARE, 0.0)):
                await self._catalog.refresh(version)
        except (StorageUnavailable, TimeoutError):
            return (Reason.CATALOG_BEHIND,)
        return (Reason.CATALOG_BEHIND,) if self._catalog.version < version else ()

    def _encode(
        self, stored: StoredHistory, now_ms: int, source: HistorySource, reasons: tuple[Reason, ...] = ()
    ) -> UserHistory:
        if not len(stored):
            return UserHistory(EMPTY_HISTORY, np.empty(0, np.int64), source, stored, reasons=reasons)
        rows_E = self._catalog.rows_of_keys(stored.item_keys_E)
        actions_E = self._actions.of_keys(stored.action_keys_E)
        # an action that this bundle was not trained on says nothing to it: the event is dropped like one of an
        # unknown item
        known_E = rows_E if actions_E.min() >= 0 else np.where(actions_E >= 0, rows_E, 0)
        encoded = encode_history(
            known_E, actions_E, stored.timestamps_ms_E, now_ms=now_ms, history_length=self._history_length
        )
        newest = known_E.nonzero()[0][-1:]
        newest_age_ms = max(now_ms - int(stored.timestamps_ms_E[newest[0]]), 0) if len(newest) else None
        return UserHistory(encoded, rows_E, source, stored, newest_age_ms, reasons)
