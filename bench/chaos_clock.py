"""Chaos to the clock: events and requests from other times, and the service's own clock set back and forth."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.chaos_redis import RATE, TIMEOUT_MS
from bench.chaos_report import Verdict
from bench.http_load import open_loop
from bench.served import Served, seqrank_served
from bench.workload import DAY_MS, Workload, get_json, post_json

if TYPE_CHECKING:
    from collections.abc import Iterator

FAKETIME: Final = "LIBFAKETIME"
"""Names ``libfaketimeMT.so.1`` where it is not installed in one of the usual places."""

PLACES: Final = ("/usr/lib/x86_64-linux-gnu/faketime", "/usr/lib/aarch64-linux-gnu/faketime", "/usr/lib/faketime")
STEPS: Final = ("-1d", "+1d", "-400d", "+0")
STEPS_SEEN_WITHIN_S: Final = 20.0
"""libfaketime reads its file about once a second; at every call would cost more than the service itself."""

CANDIDATES: Final = 50


def clock_scenarios(bundle: Path) -> Iterator[Verdict]:
    """Yield a verdict for timestamps from other times, and one for a clock that jumps if libfaketime is here."""
    work = Workload(bundle)
    with seqrank_served(bundle, environment={"SEQRANK_TIMEOUT_MS": str(TIMEOUT_MS)}) as served:
        yield odd_timestamps(served, work)
    library = faketime_library()
    verdict = Verdict("the service's clock jumps by days, under load")
    if library is None:
        verdict.facts = {"not run": f"libfaketime is not installed (name it with {FAKETIME})"}
        yield verdict
        return
    with tempfile.NamedTemporaryFile("w", prefix="seqrank-clock-") as clock:
        clock.write("+0\n")
        clock.flush()
        environment = {
            "SEQRANK_TIMEOUT_MS": str(TIMEOUT_MS),
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": clock.name,
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        with seqrank_served(bundle, environment=environment) as served:
            yield jumping_clock(verdict, served, work, Path(clock.name))


def faketime_library() -> Path | None:
    """Return libfaketime, if there is one."""
    named = os.environ.get(FAKETIME)
    paths = [Path(named)] if named else [Path(place) / "libfaketimeMT.so.1" for place in PLACES]
    return next((path for path in paths if path.exists()), None)


def odd_timestamps(served: Served, work: Workload) -> Verdict:
    """Send events and requests from 1970 to the year 6000: all are stored, and every list is full."""
    verdict, now_ms = Verdict("events and requests from the past and the future"), int(time.time() * 1000)
    times_ms = (0, 1, now_ms - 3650 * DAY_MS, now_ms - 1000, now_ms + 3_600_000, now_ms + 3650 * DAY_MS, 1 << 46)
    events = [
        {"user": "clock", "item": work.item_ids[place], "timestamp": timestamp, "id": f"clock-{place}"}
        for place, timestamp in enumerate(times_ms)
    ]
    stored = post_json(served.url + "/feedback", events)["accepted"]
    last = {"user": "clock", "item": work.item_ids[len(times_ms)], "id": "clock-last"}
    answers = [_rank(served.url, work, "clock", timestamp=timestamp) for timestamp in times_ms]
    post_json(served.url + "/feedback", last)
    after = _rank(served.url, work, "clock")
    used = {answer["history"]["used"] for answer in answers}
    verdict.facts = {
        "events stored": f"{stored} of {len(times_ms)}",
        "lists": str(len(answers)),
        "events used": str(used),
    }
    verdict.expect(stored == len(times_ms), "not every event was stored")
    verdict.expect(not any(answer["degraded"] for answer in [*answers, after]), "a list was degraded")
    verdict.expect(used == {len(times_ms)}, f"lists used {used} events, expected {len(times_ms)}")
    verdict.expect(after["history"]["used"] == len(times_ms) + 1, "a later event was not used")
    return verdict


def jumping_clock(verdict: Verdict, served: Served, work: Workload, clock: Path) -> Verdict:
    """Step the wall clock of the service and of its store under load: lists keep coming, every click counts.

    Times are shown and not judged: libfaketime stands in the way of every thread's waits.
    """
    work.seed_histories(served.url)
    requests, unseen, late, statuses, slowest_ms = work.rank_requests(100), 0, 0, set[int](), 0.0
    days_seen, lists = [], 0
    for number, step in enumerate(STEPS):
        clock.write_text(step + "\n")
        days_seen.append(_days_after(step, served.url, work.item_ids[0]))
        user = f"clock-{number}"
        for click in range(5):
            post_json(served.url + "/feedback", {"user": user, "item": work.item_ids[click], "id": f"{user}-{click}"})
            answer = _rank(served.url, work, user)
            late += answer["degraded"]
            unseen += not answer["degraded"] and answer["history"]["used"] != click + 1
        outcome = asyncio.run(open_loop(served.url, requests, rate=RATE / 2, duration_s=2.0, polls=False))
        statuses |= {*outcome.statuses}
        slowest_ms = max(slowest_ms, outcome.percentile_ms(99, status=None))
        late += sum(outcome.degraded)
        lists += outcome.count(200)
    verdict.facts = {
        "clock of the service in days from ours": " ".join(f"{days:+d}" for days in days_seen),
        "clicks not used by the next list": str(unseen),
        "lists": str(lists),
        "degraded": str(late),
        "p99": f"{slowest_ms:.1f} ms",
    }
    verdict.expect(
        [f"{days:+d}" for days in days_seen] == [step.removesuffix("d") for step in STEPS], "it did not jump"
    )
    verdict.expect(unseen == 0, f"{unseen} clicks were not used")
    verdict.expect(statuses <= {200, 429}, f"statuses were {sorted(statuses)}, expected 200 and 429 only")
    return verdict


def _days_after(step: str, url: str, item: str) -> int:
    """Wait until the service's clock has jumped, or for long enough; return how many days it is off ours."""
    give_up_s, days = time.monotonic() + STEPS_SEEN_WITHIN_S, 0
    while time.monotonic() < give_up_s:
        user = f"clock-look-{time.monotonic_ns()}"
        post_json(url + "/feedback", {"user": user, "item": item})
        shown_ms = get_json(f"{url}/users/{user}")["events"][0]["timestamp"]
        days = round((shown_ms - time.time() * 1000) / DAY_MS)
        if f"{days:+d}" == step.removesuffix("d"):
            break
        time.sleep(0.2)
    return days


def _rank(url: str, work: Workload, user: str, **members: Any) -> Any:
    body = {"user": user, "items": work.item_ids[:CANDIDATES], "timeout_ms": 1000, **members}
    return post_json(url + "/rank", body)
