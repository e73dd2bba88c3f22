"""What is measured and logged is true, and names nobody."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from app.observability.latency_window import LatencyWindow
from app.observability.logs import JsonFormatter, Pseudonyms, TextFormatter
from app.observability.metrics import Metrics
from app.observability.observer import ServiceObserver
from app.observability.stage_timer import StageTimer
from app.ranking.query import Ranking


def ranking(**changes):
    fields = {
        "ids": ["i1"], "positions": [0], "scores": [1.0], "probabilities": None, "reasons": [], "unknown": [],
        "history_used": 3, "newest_age_ms": 5, "history_source": "redis", "candidates": 1, "scored_items": 1,
    }  # fmt: skip
    return Ranking(**{**fields, **changes})


def test_percentiles_are_of_the_last_minute():
    """Old requests are forgotten; an empty window has only a count."""
    now = [0.0]
    window = LatencyWindow(span_s=60.0, clock=lambda: now[0])
    window.add(5.0)
    now[0] = 50.0
    for milliseconds in range(1, 101):
        window.add(milliseconds / 1000.0)
    now[0] = 70.0
    found = window.percentiles_ms()
    assert found["count"] == 100
    assert found["p50_ms"] == pytest.approx(50.5)
    assert found["p99_ms"] == pytest.approx(99.01)
    now[0] = 1000.0
    assert window.percentiles_ms() == {"count": 0}


def test_laps_add_up_to_the_time_spent():
    """Every moment between the start and the last lap belongs to one stage."""
    timer = StageTimer()
    timer.lap("a")
    timer.lap("b")
    assert list(timer.durations_ms()) == ["a", "b"]
    assert all(spent >= 0 for spent in timer.durations_ms().values())


def test_a_log_line_is_one_json_object_with_its_extras():
    """Message, level and extras are members; an exception is text inside, not lines below."""
    try:
        raise ValueError("no\nno")  # noqa: TRY301 -- the exception to be logged
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "f", 1, "went %s", ("wrong",), sys.exc_info())
    record.took_ms = 5
    line = JsonFormatter().format(record)
    assert "\n" not in line
    entry = json.loads(line)
    assert (entry["message"], entry["level"], entry["took_ms"]) == ("went wrong", "error", 5)
    assert "ValueError" in entry["exception"]


def test_a_text_line_has_its_extras_too():
    """What a message says is not lost where lines are plain text: the address, the stages of a slow request."""
    record = logging.LogRecord("seqrank", logging.INFO, "f", 1, "listening", (), None)
    record.url, record.pid = "http://127.0.0.1:8000", 7
    assert TextFormatter().format(record).endswith(" INFO seqrank: listening url=http://127.0.0.1:8000 pid=7")


def test_a_pseudonym_is_stable_with_a_secret_and_shows_nothing():
    """The same secret gives the same name, another one another; nobody is nobody."""
    first, again, other = Pseudonyms("s").of("ann"), Pseudonyms("s").of("ann"), Pseudonyms("t").of("ann")
    assert first == again != other
    assert "ann" not in str(first)
    assert Pseudonyms().of(None) is None


def test_a_slow_request_is_logged_without_its_user(caplog):
    """The line has the stages and a pseudonym, never the user's id."""
    observer = ServiceObserver(Metrics(reasons=[], routes=[]), Pseudonyms(), slow_request_ms=10)
    with caplog.at_level(logging.WARNING):
        observer.ranked(ranking(), StageTimer(), took_s=0.001, request_id="r", user="ann@example.org")
        assert caplog.records == []
        observer.ranked(ranking(), StageTimer(), took_s=0.02, request_id="r", user="ann@example.org")
    (record,) = caplog.records
    assert record.took_ms == 20.0
    assert "ann@example.org" not in JsonFormatter().format(record)
    assert observer.recent_latency()["count"] == 2


def test_counts_by_outcome_reason_and_stage():
    """One degraded list counts in its outcome, its reasons, its stages and its sizes."""
    metrics = Metrics(reasons=["history_unavailable"], routes=["/rank"])
    metrics.ranked([("model", 0.002)], took_s=0.004, reasons=["history_unavailable"], scored=7, history=2)
    text = metrics.exposition().decode()
    for line in (
        'seqrank_rank_requests_total{outcome="degraded"} 1.0',
        'seqrank_rank_requests_total{outcome="full"} 0.0',
        'seqrank_fallback_total{reason="history_unavailable"} 1.0',
        'seqrank_rank_stage_duration_seconds_sum{stage="model"} 0.002',
        'seqrank_rank_latency_seconds_bucket{le="0.005"} 1.0',
        'seqrank_rank_latency_seconds_bucket{le="0.003"} 0.0',
        "seqrank_scored_candidates_total 7.0",
    ):
        assert line in text


def test_the_process_itself_is_measured():
    """Its start, memory and open files are there under the names that every Prometheus knows."""
    text = Metrics(reasons=[], routes=[]).exposition().decode()
    for name in ("process_start_time_seconds", "process_resident_memory_bytes", "process_open_fds", "process_max_fds"):
        assert f"\n{name} " in text


def test_what_only_grows_is_a_counter():
    """A number that is read at a scrape is shown with the type that its name promises."""
    metrics = Metrics(reasons=[], routes=[])
    metrics.watch("openings_total", "How often.", lambda: 3)
    metrics.watch("open", "Whether.", lambda: 1)
    text = metrics.exposition().decode()
    assert "# TYPE seqrank_openings_total counter\nseqrank_openings_total 3.0" in text
    assert "# TYPE seqrank_open gauge\nseqrank_open 1.0" in text
