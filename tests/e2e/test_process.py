"""``python -m app`` as an operator sees it: real process, real socket, real Valkey."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.served_process import ROOT, ask, environment, free_port, serving, status_of, store_of, until

ITEMS = [f"item-{n}" for n in range(1, 101)]


def refused(*arguments, **settings):
    """Run a command that must not serve; return its code and what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "app", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        env=environment("unused", **settings),
    )  # fmt: skip
    return done.returncode, done.stderr.strip().splitlines()


def test_a_missing_bundle_is_one_sentence_and_code_2(tmp_path):
    """Without a bundle folder the process says so and ends."""
    code, said = refused("--bundle", str(tmp_path / "nowhere"))
    assert (code, len(said)) == (2, 1)
    assert "does not exist" in said[0]


def test_an_altered_bundle_is_one_sentence_and_code_2(tmp_path, tiny_bundle):
    """A file that is not what the manifest says ends the process, naming the file."""
    broken = shutil.copytree(tiny_bundle, tmp_path / "broken")
    with (broken / "ranker.onnx").open("ab") as file:
        file.write(b"x")
    code, said = refused(
        "--bundle", str(broken), "--port", "0", SEQRANK_DATA_DIR=str(tmp_path / "data"), SEQRANK_LOG_LEVEL="error"
    )
    assert (code, len(said)) == (2, 1)
    assert "ranker.onnx" in said[0]


def test_a_port_in_use_is_one_sentence_and_code_2(tiny_bundle):
    """A port that somebody else has ends the process, naming the address."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, said = refused("--bundle", str(tiny_bundle), "--port", str(port))
    assert (code, len(said)) == (2, 1)
    assert str(port) in said[0]


@pytest.mark.parametrize("settings", [{"SEQRANK_TIMEOUT": "5"}, {"SEQRANK_TIMEOUT_MS": "soon"}])
def test_a_bad_setting_is_one_sentence_and_code_2(tiny_bundle, settings):
    """A misspelt name or a bad value ends the process."""
    code, said = refused("--bundle", str(tiny_bundle), **settings)
    assert (code, len(said)) == (2, 1)
    assert "SEQRANK_TIMEOUT_MS" in said[0]


def test_a_click_is_read_by_the_next_list_and_sigterm_drains(tiny_bundle, tmp_path):
    """The whole way with a real store; then: readiness 503, the slow request finishes, the process ends with 0."""
    with serving(tiny_bundle, tmp_path / "data", SEQRANK_DRAIN_S="0.5") as (port, process):
        assert ask(port, "POST", "/feedback", {"user": "u", "item": "item-7", "action": "click"})[0] == 200
        status, ranked = ask(port, "POST", "/rank", {"user": "u", "items": ITEMS})
        assert (status, ranked["history"]["used"], ranked["degraded"]) == (200, 1, False)
        slow = SlowUpload(port)
        process.send_signal(signal.SIGTERM)
        until(lambda: status_of(port, "/health/ready") == 503)
        assert ask(port, "POST", "/rank", {"user": "u", "items": ITEMS})[0] == 503
        assert ask(port, "GET", "/health/live")[0] == 200
        # longer than the drain and uvicorn's own patience: what is in flight is waited for
        time.sleep(2.5)
        assert process.poll() is None
        assert slow.finish() == 503
        assert process.wait(10) == 0


def test_sigterm_before_anything_is_loaded_ends_it_in_order(tiny_bundle, tmp_path):
    """As soon as the port is open, and long before there is a server on it, the signal is heard: code 0."""
    port = free_port()
    command = [sys.executable, "-m", "app", "--bundle", str(tiny_bundle), "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, env=environment(tmp_path / "data"))

    def is_open():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    until(is_open)
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0


class SlowUpload:
    """A request that is in flight when the signal comes: its body is not complete yet."""

    def __init__(self, port) -> None:
        self.body = json.dumps({"user": "u", "items": ITEMS}).encode()
        self.connection = socket.create_connection(("127.0.0.1", port), timeout=10)
        head = f"POST /rank HTTP/1.1\r\nHost: x\r\nContent-Length: {len(self.body)}\r\n\r\n".encode()
        self.connection.sendall(head + self.body[:10])
        time.sleep(0.2)

    def finish(self):
        """Send the rest; return the answer's status."""
        self.connection.sendall(self.body[10:])
        status = int(self.connection.recv(65536).split(b" ")[1])
        self.connection.close()
        return status


def test_a_second_signal_ends_it_at_once(tiny_bundle, tmp_path):
    """Whoever signals twice does not want to wait."""
    with serving(tiny_bundle, tmp_path / "data", SEQRANK_DRAIN_S="5") as (port, process):
        process.send_signal(signal.SIGTERM)
        until(lambda: status_of(port, "/health/ready") == 503)
        process.send_signal(signal.SIGTERM)
        assert process.wait(2) == 128 + signal.SIGTERM


def test_a_crash_in_native_code_says_where(tiny_bundle, tmp_path):
    """A segmentation fault leaves the calls of every thread in the log."""
    log = tmp_path / "log"
    with log.open("wb") as file, serving(tiny_bundle, tmp_path, log=file) as (_, process):
        process.send_signal(signal.SIGSEGV)
        assert process.wait(15) == -signal.SIGSEGV
    said = log.read_text()
    assert "Segmentation fault" in said
    assert "app/__main__.py" in said


@pytest.mark.parametrize("arguments", [(), ("--workers", "2")])
def test_ctrl_c_drains_and_the_store_outlives_the_requests(tiny_bundle, tmp_path, arguments):
    """Ctrl-C goes to a terminal's whole process group: requests in flight are still answered, and the code is 0."""
    with serving(tiny_bundle, tmp_path / "data", *arguments, SEQRANK_DRAIN_S="1") as (port, process):
        store, slow = store_of(process), SlowUpload(port)
        assert os.getsid(store) == store
        os.killpg(process.pid, signal.SIGINT)
        until(lambda: status_of(port, "/health/ready") == 503)
        assert Path(f"/proc/{store}").exists()
        assert slow.finish() == 503
        assert process.wait(10) == 0
        assert not Path(f"/proc/{store}").exists()


def test_workers_share_port_store_and_metrics_and_are_replaced(tiny_bundle, tmp_path):
    """Two workers answer on one port; their counts add up; a killed one comes back; SIGTERM ends all."""
    with serving(tiny_bundle, tmp_path / "data", "--workers", "2") as (port, process):
        until(lambda: len(workers_of(process)) == 2)
        for _ in range(20):
            assert ask(port, "POST", "/rank", {"user": "u", "items": ITEMS})[0] == 200
        # full or, on a busy machine, degraded; a worker's counts are up to a tenth of a second old
        until(lambda: lists_counted(port) == 20)
        victim = workers_of(process)[0]
        os.kill(victim, signal.SIGKILL)
        until(lambda: len(now := workers_of(process)) == 2 and victim not in now)
        assert until(lambda: status_of(port, "/health/ready") == 200)
        children = workers_of(process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert not any(Path(f"/proc/{child}").exists() for child in children)


def test_a_worker_that_dies_while_the_key_file_is_gone_takes_nobody_with_it(tiny_bundle, tmp_path):
    """The others go on with the last keys, and it is back when the file is."""
    file, headers = tmp_path / "keys", {"X-API-Key": "alpha"}
    file.write_text("alpha\n")
    log, settings = tmp_path / "log", {"SEQRANK_API_KEYS_FILE": str(file), "SEQRANK_LOG_LEVEL": "info"}
    with (
        log.open("wb") as said,
        serving(tiny_bundle, tmp_path / "data", "--workers", "2", log=said, **settings) as (port, process),
    ):
        until(lambda: log.read_text().count('"message": "ready"') == 2)
        file.unlink()
        victim, survivor = workers_of(process)
        os.kill(victim, signal.SIGKILL)
        until(lambda: set(workers_of(process)) - {victim, survivor})
        until(lambda: workers_of(process) == [survivor])
        assert ask(port, "POST", "/rank", {"user": "u", "items": ITEMS}, headers=headers)[0] == 200
        file.write_text("alpha\n")
        until(lambda: len(workers_of(process)) == 2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def lists_counted(port):
    """Return how many lists the metrics know, whatever their outcome."""
    metrics = ask(port, "GET", "/metrics")[1]
    return sum(
        float(count) for count in re.findall(r"^seqrank_rank_requests_total{[^}]*} (.+)$", metrics, re.MULTILINE)
    )


def workers_of(process):
    """Return the pids of the supervisor's worker processes."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(pid) for pid in children if b"--inherited-socket" in command_of(pid)]


def command_of(pid):
    """Return the command line of a process, nothing for one that has ended in this moment."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def test_a_stopped_redis_degrades_and_comes_back(tiny_bundle, tmp_path):
    """With the store stalled every list still comes; afterwards the history is read again."""
    with serving(tiny_bundle, tmp_path / "data", SEQRANK_TIMEOUT_MS="300") as (port, process):
        ask(port, "POST", "/feedback", {"user": "u", "item": "item-7"})
        store = store_of(process)
        os.kill(store, signal.SIGSTOP)
        try:
            answers = [ask(port, "POST", "/rank", {"user": "u", "items": ITEMS}) for _ in range(8)]
        finally:
            os.kill(store, signal.SIGCONT)
        assert {status for status, _ in answers} == {200}
        assert all(answer["degraded"] for _, answer in answers)
        until(lambda: ask(port, "POST", "/rank", {"user": "u", "items": ITEMS})[1]["history"]["used"] == 1)


def test_many_clients_at_once_get_their_own_lists(tiny_bundle, tmp_path):
    """Concurrent callers with different candidates each get exactly theirs back."""
    wrong = []

    def client(port, first):
        items = [f"item-{n}" for n in range(first, first + 10)]
        for _ in range(10):
            status, answer = ask(port, "POST", "/rank", {"user": f"u{first}", "items": items, "timeout_ms": 5000})
            if status != 200 or sorted(entry["item"] for entry in answer["items"]) != sorted(items):
                wrong.append((status, answer))

    with serving(tiny_bundle, tmp_path / "data") as (port, _):
        threads = [threading.Thread(target=client, args=(port, first)) for first in range(1, 150, 15)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
