"""Percentiles of the requests of the last minute."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable


class LatencyWindow:
    """Keeps the durations of recent requests, at most `most` of them and none older than `span_s`."""

    def __init__(self, *, span_s: float = 60.0, most: int = 4096, clock: Callable[[], float] = time.monotonic) -> None:
        """Start empty."""
        self._span_s = span_s
        self._clock = clock
        self._entries: deque[tuple[float, float]] = deque(maxlen=most)

    def add(self, seconds: float) -> None:
        """Remember one duration."""
        self._entries.append((self._clock(), seconds))

    def percentiles_ms(self) -> dict[str, float]:
        """Return ``count``, ``p50_ms``, ``p95_ms`` and ``p99_ms``; the count alone when there was nothing."""
        oldest_s = self._clock() - self._span_s
        while self._entries and self._entries[0][0] < oldest_s:
            self._entries.popleft()
        if not self._entries:
            return {"count": 0}
        values = np.percentile([seconds * 1000.0 for _, seconds in self._entries], (50, 95, 99))
        names = ("p50_ms", "p95_ms", "p99_ms")
        return {
            "count": len(self._entries),
            **{name: round(float(value), 3) for name, value in zip(names, values, strict=True)},
        }
