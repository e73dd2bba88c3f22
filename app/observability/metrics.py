"""What Prometheus is told; names begin with ``seqrank_``, times are seconds, every label set exists from the start."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from app.observability.bulk_histogram import BulkHistogram

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

BUCKETS_S: Final = (
    0.00025, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 5.0,
)  # fmt: skip
STAGES: Final = ("parse", "history", "candidates", "model", "list", "write")
OUTCOMES: Final = ("full", "degraded")
MULTIPROCESS_DIR: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Set by the supervisor before its workers start: every worker's numbers then lie in files of this folder."""


FOLDED_AFTER_S: Final = 0.1
"""Lists are counted in bulk, at most so late; a scrape of this process counts all of them first."""


class _List(NamedTuple):
    """What one list adds to the metrics."""

    laps: Iterable[tuple[str, float]]
    took_s: float
    scored: int
    history: int


class _WatchedCounter(Collector):
    """A counter that somebody else counts."""

    def __init__(self, name: str, text: str, read: Callable[[], float]) -> None:
        self._name, self._text, self._read = name, text, read

    def collect(self) -> Iterable[CounterMetricFamily]:
        """Return the number of now."""
        return [CounterMetricFamily(self._name, self._text, value=self._read())]


class Metrics:
    """Every metric of the service."""

    def __init__(self, *, reasons: Iterable[str], routes: Iterable[str]) -> None:
        """Make all label sets, so that ``rate()`` works from the first scrape.

        Args:
            reasons: Why answers can be degraded.
            routes: Path templates.
        """
        # a second series for each one, which says when it began: the process's start, which is a metric of its own
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._rank_requests = self._counter("rank_requests", "Lists made, by outcome.", "outcome")
        self._rank_seconds = self._histogram("rank_latency_seconds", "From a rank request's arrival to its answer.")
        self._stage_seconds = self._histogram("rank_stage_duration_seconds", "Time by stage.", "stage")
        self._fallbacks = self._counter("fallback", "Degraded answers, by reason.", "reason")
        self._events = self._counter("feedback_events", "Events stored.")
        self._left = self._counter("clients_left", "Requests whose client had gone before the answer.")
        self._http = self._counter("http_requests", "Answers, by route and status.", "route", "status")
        self._scored = self._counter("scored_candidates", "Candidates that the model scored.")
        self._history = self._histogram_of("history_events", "Events that a list rests on.", (0, 1, 2, 5, 10, 20, 50))
        self._stages = {stage: self._stage_seconds.labels(stage) for stage in STAGES}
        self._outcomes = {outcome: self._rank_requests.labels(outcome) for outcome in OUTCOMES}
        self._reasons = {reason: self._fallbacks.labels(reason) for reason in reasons}
        self._answers: dict[tuple[str, int], Any] = {}
        self._uncounted: list[_List] = []
        for route in routes:
            self._answer_counter(route, 200)

    def ranked(
        self, laps: Iterable[tuple[str, float]], *, took_s: float, reasons: Iterable[str], scored: int, history: int
    ) -> None:
        """Count one list; on an event loop a little later, together with others."""
        reasons = list(reasons)
        self._outcomes["degraded" if reasons else "full"].inc()
        for reason in reasons:
            self._reasons[reason].inc()
        self._uncounted.append(_List(laps, took_s, scored, history))
        if len(self._uncounted) == 1:
            try:
                asyncio.get_running_loop().call_later(FOLDED_AFTER_S, self._count_lists)
            except RuntimeError:
                self._count_lists()

    def _count_lists(self) -> None:
        lists, self._uncounted = self._uncounted, []
        if not lists:
            return
        self._rank_seconds.observe_all([one.took_s for one in lists])
        self._history.observe_all([one.history for one in lists])
        self._scored.inc(sum(one.scored for one in lists))
        seconds_of: dict[str, list[float]] = {}
        for one in lists:
            for stage, seconds in one.laps:
                seconds_of.setdefault(stage, []).append(seconds)
        for stage, spent in seconds_of.items():
            self._stages[stage].observe_all(spent)

    def fed(self, events: int) -> None:
        """Count stored events."""
        self._events.inc(events)

    def client_left(self) -> None:
        """Count a caller that did not wait."""
        self._left.inc()

    def answered(self, route: str, status: int) -> None:
        """Count one answer."""
        self._answer_counter(route, status).inc()

    def describe_model(self, **labels: str) -> None:
        """Show which model is served."""
        gauge = Gauge(
            "seqrank_model_info",
            "What is served.",
            list(labels),
            registry=self.registry,
            multiprocess_mode="livemostrecent",
        )
        gauge.labels(**labels).set(1)

    def watch(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Show a number that is read at each scrape of a single process; workers do not have such numbers in common.

        A name that ends with ``_total`` is a counter, any other a gauge.
        """
        if MULTIPROCESS_DIR in os.environ:
            return
        if name.endswith("_total"):
            self.registry.register(_WatchedCounter(f"seqrank_{name}", text, read))
        else:
            Gauge(f"seqrank_{name}", text, registry=self.registry).set_function(read)

    def exposition(self) -> bytes:
        """Return the Prometheus text; added up over the workers where there are several."""
        self._count_lists()
        if MULTIPROCESS_DIR not in os.environ:
            return generate_latest(self.registry)
        everyone = CollectorRegistry()
        MultiProcessCollector(everyone)  # type: ignore[no-untyped-call]
        try:
            return generate_latest(everyone)
        except FileNotFoundError:  # of a worker that has just ended
            return generate_latest(everyone)

    def _answer_counter(self, route: str, status: int) -> Any:
        known = self._answers.get((route, status))
        if known is None:
            known = self._answers[route, status] = self._http.labels(route, str(status))
        return known

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"seqrank_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> BulkHistogram:
        return BulkHistogram(f"seqrank_{name}", text, labels, buckets=BUCKETS_S, registry=self.registry)

    def _histogram_of(self, name: str, text: str, buckets: tuple[float, ...]) -> BulkHistogram:
        return BulkHistogram(f"seqrank_{name}", text, buckets=buckets, registry=self.registry)
