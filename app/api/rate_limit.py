"""How many requests a second one caller may send to one process."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from app.api.failures import RateLimited

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_CALLERS: Final = 10_000
"""Beyond this many callers those with full buckets are forgotten, which changes nothing for them."""


class RateLimit:
    """A token bucket for each caller."""

    def __init__(self, per_s: float, burst: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Allow ``per_s`` requests a second on average, and up to ``burst`` at once."""
        self._per_s = per_s
        self._burst = float(burst)
        self._clock = clock
        self._buckets: dict[bytes, tuple[float, float]] = {}

    def take(self, caller: bytes) -> None:
        """Count one request of a caller.

        Raises:
            RateLimited: If the caller's bucket is empty; it says when there is a token again.
        """
        now_s = self._clock()
        tokens, at_s = self._buckets.get(caller, (self._burst, now_s))
        tokens = min(self._burst, tokens + (now_s - at_s) * self._per_s)
        if tokens < 1.0:
            self._buckets[caller] = (tokens, now_s)
            limit = f"{self._per_s:g} requests a second"
            raise RateLimited(f"the rate limit of {limit} is passed", retry_after_s=(1.0 - tokens) / self._per_s)
        self._buckets[caller] = (tokens - 1.0, now_s)
        if len(self._buckets) > MOST_CALLERS:
            self._forget_idle(now_s)

    def _forget_idle(self, now_s: float) -> None:
        self._buckets = {
            caller: (tokens, at_s)
            for caller, (tokens, at_s) in self._buckets.items()
            if tokens + (now_s - at_s) * self._per_s < self._burst
        }
