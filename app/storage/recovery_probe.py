"""The background task that finds out when Redis is well again, so that no request has to."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Self

from app.errors import StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from app.storage.circuit_breaker import CircuitBreaker

logger = logging.getLogger(__name__)


class RecoveryProbe:
    """Owns one task that pings while the circuit is open.

    Promise: at most one ping is under way; a ping that raises opens the circuit again; the task ends when the context
    is left and not before.
    """

    def __init__(
        self, breaker: CircuitBreaker, ping: Callable[[], Awaitable[object]], *, check_every_s: float = 0.05
    ) -> None:
        self._breaker = breaker
        self._ping = ping
        self._check_every_s = check_every_s
        self._task: asyncio.Task[None] | None = None

    @property
    def alive(self) -> bool:
        """Whether the task runs."""
        return self._task is not None and not self._task.done()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._watch(), name="redis-recovery-probe")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _watch(self) -> None:
        while True:
            wait_s = self._breaker.seconds_to_probe()
            if wait_s == 0.0 and self._breaker.begin_probe():
                await self._probe()
            else:
                await asyncio.sleep(self._check_every_s if wait_s is None else min(wait_s, self._check_every_s))

    async def _probe(self) -> None:
        well = False
        try:
            await self._ping()
            well = True
        except StorageUnavailable:
            pass
        except Exception:
            logger.exception("the probe of Redis failed in a way that nobody foresaw")
        finally:
            self._breaker.end_probe(well=well)
