"""The store as a whole: what the composition root opens."""

from __future__ import annotations

import dataclasses
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.storage.circuit_breaker import CircuitBreaker, CircuitState
from app.storage.connection import RedisConnection, RedisOptions, open_redis
from app.storage.embedded import EmbeddedValkey
from app.storage.key_layout import KeyLayout
from app.storage.recovery_probe import RecoveryProbe
from app.storage.redis_address import EMBEDDED
from app.storage.redis_history import RedisHistory
from app.storage.redis_items import RedisItems

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from app.storage.append_call import HistoryLimits


@dataclass(frozen=True, slots=True)
class Store:
    """Everything that is kept outside the process.

    Attributes:
        history: Satisfies `app.ranking.ports.HistoryStore`.
        items: Satisfies `app.catalog.item_store.OnlineItemStore`.
        breaker: Its state tells readiness whether histories are read.
        redis: The connection itself, for ``doctor`` and tests.
        probe: Watches for recovery; `RecoveryProbe.alive` tells whether it still does.
        embedded: Our own server, if that is where things are kept.
    """

    history: RedisHistory
    items: RedisItems
    breaker: CircuitBreaker
    redis: RedisConnection
    probe: RecoveryProbe
    embedded: EmbeddedValkey | None

    def trouble(self) -> str | None:
        """Return one sentence on what is wrong with the store, None if nothing is known to be."""
        if self.breaker.state is not CircuitState.CLOSED:
            return "Redis does not answer in time: lists are ranked without history"
        if not self.probe.alive:
            return "the task that watches for Redis's recovery has ended"
        return None


@asynccontextmanager
async def open_store(
    options: RedisOptions,
    *,
    limits: HistoryLimits,
    data_dir: Path,
    append_fsync: str = "always",
    user_secret: str = "",
) -> AsyncIterator[Store]:
    """Open the store; a Redis that does not answer is no failure here, an embedded one is.

    Args:
        options: Where Redis is; the URL `EMBEDDED` starts one.
        limits: How much of a user is kept, and for how long.
        data_dir: Folder of the embedded server.
        append_fsync: See `EmbeddedValkey`.
        user_secret: Hides user ids, see `KeyLayout`.

    Raises:
        InvalidSetting: If the URL, a TLS file or the data folder cannot be used.
        StorageUnavailable: If the embedded server does not start.
    """
    async with AsyncExitStack() as stack:
        embedded = None
        if options.url == EMBEDDED:
            embedded = await stack.enter_async_context(EmbeddedValkey(data_dir, append_fsync=append_fsync))
            options = dataclasses.replace(options, url=embedded.url)
        redis = await stack.enter_async_context(open_redis(options))
        if embedded is not None:
            redis = dataclasses.replace(redis, why_away=embedded.trouble)
        layout = KeyLayout(user_secret=user_secret)
        breaker = CircuitBreaker()
        history = RedisHistory(
            redis, breaker=breaker, layout=layout, limits=limits, blamed_after_s=options.read_timeout_ms / 1000
        )
        probe = await stack.enter_async_context(RecoveryProbe(breaker, history.ping))
        yield Store(history, RedisItems(redis, layout=layout), breaker, redis, probe, embedded)
