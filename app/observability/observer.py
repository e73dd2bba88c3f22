"""Told of everything that happens; keeps metrics and percentiles, and logs what is slow."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from app.observability.latency_window import LatencyWindow
from app.observability.stage_timer import StageTimer

if TYPE_CHECKING:
    from app.observability.logs import Pseudonyms
    from app.observability.metrics import Metrics
    from app.ranking.query import Ranking

logger = logging.getLogger("seqrank.requests")


class ServiceObserver:
    """Satisfies `app.api.serving.Observer`."""

    def __init__(self, metrics: Metrics, pseudonyms: Pseudonyms, *, slow_request_ms: float) -> None:
        """Take the parts.

        Args:
            metrics: Where things are counted.
            pseudonyms: Stand in for user ids.
            slow_request_ms: Slower rank requests are logged with their stages; 0 for none.
        """
        self.metrics = metrics
        self._pseudonyms = pseudonyms
        self._slow_s = slow_request_ms / 1000.0 if slow_request_ms else float("inf")
        self._window = LatencyWindow()

    def timer(self) -> StageTimer:
        """Return a running stop watch."""
        return StageTimer()

    def ranked(self, ranking: Ranking, timer: StageTimer, *, took_s: float, request_id: str, user: str | None) -> None:
        """Count a list; log it if it was slow."""
        self._window.add(took_s)
        self.metrics.ranked(
            timer.laps,
            took_s=took_s,
            reasons=ranking.reasons,
            scored=ranking.scored_items,
            history=ranking.history_used,
        )
        if took_s > self._slow_s:
            logger.warning(
                "a rank request was slow",
                extra={
                    "request": request_id,
                    "user": self._pseudonyms.of(user),
                    "took_ms": round(took_s * 1000.0, 3),
                    "candidates": ranking.candidates,
                    "history": ranking.history_used,
                    "reasons": ranking.reasons,
                    "stages_ms": {stage: round(spent, 3) for stage, spent in timer.durations_ms().items()},
                },
            )

    def fed(self, events: int) -> None:
        """Count stored events."""
        self.metrics.fed(events)

    def client_left(self) -> None:
        """Count a caller that did not wait."""
        self.metrics.client_left()

    def answered(self, route: str, status: int) -> None:
        """Count one answer."""
        self.metrics.answered(route, status)

    def recent_latency(self) -> dict[str, float]:
        """Return percentiles of the last minute's rank requests."""
        return self._window.percentiles_ms()

    def exposition(self) -> bytes:
        """Return the Prometheus text."""
        return self.metrics.exposition()
