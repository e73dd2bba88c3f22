"""``python -m app`` as a child process, for tests."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(data_dir, **settings):
    ours = {name: value for name, value in os.environ.items() if not name.startswith("SEQRANK_")}
    return {
        **ours,
        "SEQRANK_DATA_DIR": str(data_dir),
        "SEQRANK_LOG_LEVEL": "warning",
        "OMP_NUM_THREADS": "1",
        **settings,
    }


def ask(port, method, path, body=None, *, timeout_s=10, headers=None):
    """Send one request; return status and parsed body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers or {})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null") if path != "/metrics" else answer.read().decode()
    finally:
        connection.close()


def status_of(port, path):
    try:
        return ask(port, "GET", path, timeout_s=2)[0]
    except OSError:
        return None


def until(condition, timeout_s=40):
    give_up_s = time.monotonic() + timeout_s
    while time.monotonic() < give_up_s:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen in time")


@contextmanager
def serving(bundle, data_dir, *arguments, log=subprocess.PIPE, **settings):
    """Run the service; yield its port and process, ready. ``log`` is where its stderr goes."""
    port = free_port()
    command = [sys.executable, "-m", "app", "--bundle", str(bundle), "--port", str(port), *arguments]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment(data_dir, **settings), stderr=log, start_new_session=True
    )
    try:
        until(lambda: process.poll() is not None or status_of(port, "/health/ready") == 200)
        assert process.poll() is None, process.stderr.read().decode() if process.stderr else "see the log"
        yield port, process
    finally:
        process.kill()
        process.wait()
        if process.stderr:
            process.stderr.close()


def store_of(process):
    """Return the pid of the embedded Valkey; None while there is none."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return next((int(pid) for pid in children if "valkey" in Path(f"/proc/{pid}/comm").read_text()), None)
