"""Several worker processes on one listening socket, with one embedded store between them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prometheus_client.multiprocess import mark_process_dead

from app.announcement import announce
from app.errors import SeqrankError
from app.observability.logs import configure
from app.observability.metrics import MULTIPROCESS_DIR
from app.storage import bound_child
from app.storage.embedded import EmbeddedValkey
from app.storage.redis_address import EMBEDDED

if TYPE_CHECKING:
    import socket

    from app.settings import Settings

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 10.0
LIVED_LONG_S: Final = 10.0
"""A worker that lived so long starts again without a pause that has grown."""

KILLED_AFTER_S: Final = 9.0
"""After the first signal; a worker drains faster by itself."""

UNUSABLE: Final = 2

logger = logging.getLogger("seqrank.supervisor")


@dataclass(slots=True)
class _Worker:
    """One worker process.

    Attributes:
        process: Itself.
        told: End of a pipe, where a byte arrives when it begins to serve.
        serves: Whether that byte has been read.
    """

    process: asyncio.subprocess.Process
    told: int
    serves: bool = False


def _serves(worker: _Worker) -> bool:
    with contextlib.suppress(BlockingIOError):
        worker.serves = worker.serves or os.read(worker.told, 1) != b""
    return worker.serves


class Supervisor:
    """Keeps N workers alive.

    Promise: a worker that dies is replaced, after a pause that grows from 100 ms to 10 s while they keep dying; one
    that cannot serve at all (exit code 2) ends everything with the same code, unless others are serving, who go on
    while it is tried again; the first signal drains every worker, the second kills them. Workers die with their
    supervisor (Linux).
    """

    def __init__(self, command: list[str], count: int, *, environment: dict[str, str], socket_fd: int) -> None:
        """Prepare.

        Args:
            command: Program and arguments of a worker; the number of a pipe to write to when it serves is added.
            count: N.
            environment: Of every worker.
            socket_fd: The listening socket that they inherit.
        """
        self._command = command
        self._count = count
        self._environment = environment
        self._socket_fd = socket_fd
        self._workers: dict[int, _Worker] = {}
        self._stopping = asyncio.Event()
        self._code = 0

    async def run(self) -> int:
        """Run until a signal or an unusable worker; return the exit code."""
        loop = asyncio.get_running_loop()
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signal_number, self._on_signal)
        keepers = [asyncio.create_task(self._keep(index), name=f"keeper-{index}") for index in range(self._count)]
        await self._stopping.wait()
        self._send(signal.SIGTERM)
        _, late = await asyncio.wait(keepers, timeout=KILLED_AFTER_S)
        if late:
            self._send(signal.SIGKILL)
            await asyncio.wait(late)
        return self._code

    def _on_signal(self) -> None:
        if self._stopping.is_set():
            self._send(signal.SIGKILL)
        self._stopping.set()

    def _send(self, signal_number: signal.Signals) -> None:
        for worker in self._workers.values():
            with contextlib.suppress(ProcessLookupError):
                worker.process.send_signal(signal_number)

    async def _keep(self, index: int) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._stopping.is_set():
            started_s = time.monotonic()
            end = await self._live(index)
            if self._stopping.is_set():
                return
            if time.monotonic() - started_s > LIVED_LONG_S:
                pause_s = FIRST_PAUSE_S
            logger.error("%s, starting it again in %g s", end, pause_s)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def _live(self, index: int) -> str:
        """Start a worker and wait for its end; return in a sentence what happened."""
        try:
            worker = self._workers[index] = await self._start()
        except OSError as error:
            return f"a worker could not be started ({error.strerror})"
        if self._stopping.is_set():
            worker.process.terminate()
        code = await worker.process.wait()
        del self._workers[index]
        self._clear_up(worker)
        if code == UNUSABLE and not self._stopping.is_set() and not any(map(_serves, self._workers.values())):
            self._code = UNUSABLE
            self._stopping.set()
        return f"worker {worker.process.pid} ended with code {code}"

    def _clear_up(self, worker: _Worker) -> None:
        folder, pid = self._environment[MULTIPROCESS_DIR], worker.process.pid
        mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]
        if not _serves(worker):
            # it has counted nothing, and each scrape would read its files: a thousand of them take a second
            for file in Path(folder).glob(f"*_{pid}.db"):
                file.unlink(missing_ok=True)
        os.close(worker.told)

    async def _start(self) -> _Worker:
        told, tell = os.pipe()
        os.set_blocking(told, False)
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command, str(tell), env=self._environment, pass_fds=(self._socket_fd, tell)
            )
        except BaseException:
            os.close(told)
            raise
        finally:
            os.close(tell)
        return _Worker(process, told)


def supervise(settings: Settings, listening: socket.socket) -> int:
    """Serve with ``settings.workers`` processes; return the exit code."""
    configure(settings.log_level, settings.log_format)
    try:
        return asyncio.run(_supervise(settings, listening))
    except asyncio.CancelledError:  # a signal came while the store was being opened
        return 0
    except SeqrankError as error:
        print(f"seqrank: {error}", file=sys.stderr)
        return UNUSABLE


async def _supervise(settings: Settings, listening: socket.socket) -> int:
    this = asyncio.current_task()
    assert this is not None  # noqa: S101 - asyncio.run made it
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    async with AsyncExitStack() as stack:
        environment = dict(os.environ)
        environment["SEQRANK_WORKERS"] = str(settings.workers)
        environment[MULTIPROCESS_DIR] = stack.enter_context(tempfile.TemporaryDirectory(prefix="seqrank-metrics-"))
        if settings.redis_url.get_secret_value() == EMBEDDED:
            embedded = await stack.enter_async_context(
                EmbeddedValkey(settings.data_dir, append_fsync=settings.append_fsync)
            )
            environment["SEQRANK_REDIS_URL"] = embedded.url
        announce(settings, listening)
        command = _worker_command(settings, listening.fileno())
        supervisor = Supervisor(command, settings.workers, environment=environment, socket_fd=listening.fileno())
        return await supervisor.run()


def _worker_command(settings: Settings, socket_fd: int) -> list[str]:
    """Return how a worker is started: bound to this process, so that it dies with it."""
    bound = [sys.executable, "-I", "-S", bound_child.__file__, str(os.getpid())]
    worker = [sys.executable, "-m", "app", "--bundle", str(settings.bundle), "--inherited-socket", str(socket_fd)]
    return [*bound, *worker, "--tell-when-serving"]
