"""Opens histories for tests."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from app.contract.events import Event
from app.storage.append_call import HistoryLimits
from app.storage.circuit_breaker import CircuitBreaker
from app.storage.connection import RedisOptions, open_redis
from app.storage.key_layout import KeyLayout
from app.storage.redis_history import RedisHistory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NOW_MS = 1_800_000_000_000


def event(number: int, *, user: str = "ann", at_ms: int | None = None, item: str = "") -> Event:
    """Return event ``e<number>`` of an item of its own, by default one second after the one before."""
    return Event(
        event_id=f"e{number}",
        user=user,
        item=item or f"item-{number}",
        action="view",
        timestamp_ms=NOW_MS - 1_000_000 + 1000 * number if at_ms is None else at_ms,
    )


@asynccontextmanager
async def opened_history(
    url: str,
    *,
    limits: HistoryLimits | None = None,
    user_secret: str = "",
    breaker: CircuitBreaker | None = None,
    now_ms: int = NOW_MS,
    **options: float,
) -> AsyncIterator[RedisHistory]:
    """Open a history at a URL, with a fixed clock and generous time limits unless told otherwise."""
    given = {"connect_timeout_ms": 2000.0, "read_timeout_ms": 2000.0, "write_timeout_ms": 5000.0} | options
    async with open_redis(RedisOptions(url=url, **given)) as opened:
        yield RedisHistory(
            opened,
            breaker=breaker or CircuitBreaker(),
            layout=KeyLayout(user_secret=user_secret),
            limits=limits or HistoryLimits(),
            blamed_after_s=given["read_timeout_ms"] / 1000,
            clock_ms=lambda: now_ms,
        )
