"""A service started as a child process for a measurement, with its CPU seconds and memory."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Served:
    """A running service.

    Attributes:
        url: Where it answers.
        process: The child; its children (workers) count as part of it.
        ready_after_s: Seconds from start to the first ready answer.
    """

    url: str
    process: subprocess.Popen[bytes]
    ready_after_s: float

    def pids(self) -> list[int]:
        """Return the process ids of the service, its workers included, an embedded Redis left out."""
        found = [self.process.pid]
        for pid in found:
            children = Path(f"/proc/{pid}/task/{pid}/children")
            if children.exists():
                found += [int(child) for child in children.read_text().split()]
        return [pid for pid in found if "valkey" not in _command_of(pid)]

    def cpu_seconds(self) -> float:
        """Return user + system CPU seconds of the service so far."""
        return sum(_cpu_seconds(pid) for pid in self.pids())

    def resident_mb(self) -> float:
        """Return the resident memory in MB, summed over its processes."""
        return sum(_resident_pages(pid) for pid in self.pids()) * PAGE_BYTES / 1e6


def _command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return ""


def _resident_pages(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def free_port() -> int:
    """Return a TCP port of the loopback address that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(url: str, process: subprocess.Popen[bytes], timeout_s: float = 60.0) -> float:
    """Wait for a 200 of ``url``; return the seconds that it took."""
    started_s = time.monotonic()
    while time.monotonic() - started_s < timeout_s:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with code {process.returncode}")
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 -- our own loopback address
                return time.monotonic() - started_s
        except (urllib.error.URLError, OSError):
            time.sleep(0.02)
    raise RuntimeError(f"{url} was not ready within {timeout_s} s")


@contextmanager
def process_served(
    command: Sequence[str], *, port: int, ready_path: str, environment: Mapping[str, str] | None = None
) -> Iterator[Served]:
    """Run any server command until the block ends."""
    child = subprocess.Popen(command, env={**os.environ, **(environment or {})}, start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    try:
        yield Served(url=url, process=child, ready_after_s=wait_until(url + ready_path, child))
    finally:
        child.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            child.wait(timeout=15)
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


@contextmanager
def seqrank_served(bundle: Path, *, workers: int = 1, environment: Mapping[str, str] | None = None) -> Iterator[Served]:
    """Run Seqrank with an embedded Valkey in a temporary folder until the block ends."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="seqrank-bench-") as folder:
        settings = {"SEQRANK_DATA_DIR": folder, "SEQRANK_LOG_LEVEL": "error", **(environment or {})}
        command = [sys.executable, "-m", "app", "--bundle", str(bundle), "--port", str(port)]
        command += ["--workers", str(workers)] if workers > 1 else []
        with process_served(command, port=port, ready_path="/health/ready", environment=settings) as served:
            yield served
