"""Chaos to the processes: kill -9 of the service and of its store, SIGTERM under load; no acknowledged event goes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections import Counter
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from bench.chaos_report import Verdict
from bench.served import free_port, wait_until
from bench.workload import Workload, get_json, post_json

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENTS_A_USER = 20


class Writer(threading.Thread):
    """Sends events one after another and remembers those that were acknowledged.

    Attributes:
        acknowledged: User and event id of each.
        refused: How often each other answer came, by status and sentence; no answer at all is not counted.
    """

    def __init__(self, url: str, item_ids: list[str], prefix: str) -> None:
        super().__init__(daemon=True)
        self.url, self.item_ids, self.prefix = url, item_ids, prefix
        self.acknowledged: list[tuple[str, str]] = []
        self.refused: Counter[str] = Counter()
        self.stop = threading.Event()

    def run(self) -> None:
        """Send until told to stop; an event without an acknowledgement is not counted."""
        number = 0
        while not self.stop.is_set():
            user, event = f"{self.prefix}-{number // EVENTS_A_USER}", uuid.uuid4().hex
            body = {"id": event, "user": user, "item": self.item_ids[number % len(self.item_ids)]}
            try:
                if post_json(self.url + "/feedback", body)["status"] == "ok":
                    self.acknowledged.append((user, event))
            except urllib.error.HTTPError as error:
                with suppress(OSError, ValueError):
                    self.refused[f"{error.code} {json.loads(error.read())['error']}"] += 1
            except (OSError, ValueError):
                pass
            number += 1

    def finish(self) -> None:
        """Stop, and wait for the last answer."""
        self.stop.set()
        self.join(timeout=40)


def lost_events(url: str, acknowledged: list[tuple[str, str]]) -> int:
    """Return how many acknowledged events the service does not know any more."""
    users = {user for user, _ in acknowledged}
    known = {event["id"] for user in users for event in get_json(f"{url}/users/{user}")["events"]}
    return sum(event not in known for _, event in acknowledged)


def start(bundle: Path, folder: str, port: int) -> subprocess.Popen[bytes]:
    """Start the service with its embedded store and wait until it is ready."""
    environment = {**os.environ, "SEQRANK_DATA_DIR": folder, "SEQRANK_LOG_LEVEL": "error"}
    child = subprocess.Popen(
        [sys.executable, "-m", "app", "--bundle", str(bundle), "--port", str(port)], env=environment
    )
    wait_until(f"http://127.0.0.1:{port}/health/ready", child)
    return child


def store_of(child: subprocess.Popen[bytes]) -> int:
    """Return the process id of the embedded Valkey."""
    for pid in Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split():
        if "valkey" in Path(f"/proc/{pid}/comm").read_text():
            return int(pid)
    raise RuntimeError("the service has no embedded store")


def crash_scenarios(bundle: Path, rounds: int) -> Iterator[Verdict]:
    """Yield a verdict for killing the service, for killing its store, and for SIGTERM under load."""
    for victim in ("service", "store"):
        yield killed(bundle, victim, rounds)
    yield terminated(bundle)


def killed(bundle: Path, victim: str, rounds: int) -> Verdict:
    """Kill -9 in mid-load, start again (the store must come back by itself), and look for every event."""
    verdict, work, lost, acknowledged = Verdict(f"kill -9 of the {victim}, {rounds} times"), Workload(bundle), 0, 0
    recoveries = []
    with tempfile.TemporaryDirectory(prefix="seqrank-chaos-") as folder:
        port = free_port()
        child = start(bundle, folder, port)
        url = f"http://127.0.0.1:{port}"
        for number in range(rounds):
            writers = [Writer(url, work.item_ids, f"{victim}-{number}-{k}") for k in range(4)]
            for writer in writers:
                writer.start()
            time.sleep(0.5)
            os.kill(child.pid if victim == "service" else store_of(child), signal.SIGKILL)
            struck_s = time.monotonic()
            for writer in writers:
                writer.stop.set()
            if victim == "service":
                child.wait()
                child = start(bundle, folder, port)
            wait_for_store(url, work.item_ids[0])
            recoveries.append(time.monotonic() - struck_s)
            for writer in writers:
                writer.join(timeout=10)
                acknowledged += len(writer.acknowledged)
                lost += lost_events(url, writer.acknowledged)
        child.send_signal(signal.SIGTERM)
        child.wait(timeout=15)
    verdict.facts = {
        "acknowledged": str(acknowledged),
        "lost": str(lost),
        "recovery": f"{median(recoveries):.2f} s, the slowest {max(recoveries):.2f} s",
    }
    verdict.expect(acknowledged > 0, "no event was acknowledged at all")
    verdict.expect(lost == 0, f"{lost} acknowledged events are lost")
    return verdict


def wait_for_store(url: str, item: str, *, users: int = 1, limit_s: float = 20.0) -> None:
    """Wait until the service acknowledges events again, one of each user in one call."""
    events = [{"user": f"chaos-probe-{number}", "item": item} for number in range(users)]
    started_s = time.monotonic()
    while time.monotonic() - started_s < limit_s:
        with suppress(urllib.error.URLError, OSError):
            post_json(url + "/feedback", events)
            return
        time.sleep(0.05)
    raise RuntimeError(f"no event was acknowledged within {limit_s:.0f} s after the crash")


def terminated(bundle: Path) -> Verdict:
    """SIGTERM under load: what was accepted is answered, and the process ends within ten seconds with code 0."""
    verdict, work = Verdict("SIGTERM under load"), Workload(bundle)
    with tempfile.TemporaryDirectory(prefix="seqrank-chaos-") as folder:
        port = free_port()
        child = start(bundle, folder, port)
        writer = Writer(f"http://127.0.0.1:{port}", work.item_ids, "term")
        writer.start()
        time.sleep(0.5)
        child.send_signal(signal.SIGTERM)
        signalled_s = time.monotonic()
        code = child.wait(timeout=20)
        took_s = time.monotonic() - signalled_s
        writer.stop.set()
        writer.join(timeout=10)
        child = start(bundle, folder, port)
        lost = lost_events(f"http://127.0.0.1:{port}", writer.acknowledged)
        child.send_signal(signal.SIGTERM)
        child.wait(timeout=15)
    verdict.facts = {"exit code": str(code), "took": f"{took_s:.2f} s", "lost": str(lost)}
    verdict.expect(code == 0, f"the exit code was {code}")
    verdict.expect(took_s <= 10, f"it took {took_s:.1f} s")
    verdict.expect(lost == 0, f"{lost} acknowledged events are lost")
    return verdict
