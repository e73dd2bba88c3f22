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
from pathlib import Path
from typing import TYPE_CHECKING, Final

from app.announcement import announce
from app.errors import UNUSABLE, SeqrankError
from app.observability.gone_workers import forget_worker
from app.observability.logs import configure
from app.observability.metrics import MULTIPROCESS_DIR
from app.storage import bound_child
from app.storage.embedded import EmbeddedValkey
from app.storage.redis_address import EMBEDDED
from app.worker_process import WorkerProcess

if TYPE_CHECKING:
    import socket

    from app.settings import Settings

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 10.0
LIVED_LONG_S: Final = 10.0
"""A worker that lived so long starts again without a pause that has grown."""

KILLED_AFTER_S: Final = 9.0
"""After the first signal; a worker drains faster by itself."""

SERVES_WITHIN_S: Final = 300.0
"""A successor that has not opened its bundle by then is given up."""

RETIRED_WITHIN_S: Final = 20.0
"""A worker that has a successor is killed if it is not gone by then; it leaves earlier by itself."""

logger = logging.getLogger("seqrank.supervisor")


class Supervisor:
    """Keeps N workers alive, and exchanges them for new ones without a pause.

    Promise: a worker that dies is replaced, after a pause that grows from 100 ms to 10 s while they keep dying; one
    that cannot serve at all (exit code 2) ends everything with the same code, unless others are serving, who go on
    while it is tried again; the first signal drains every worker, the second kills them. Workers die with their
    supervisor (Linux).

    SIGHUP exchanges the workers one after the other: a new one opens what its bundle's path leads to now, and only
    when it serves does an old one let go. If the new one cannot serve, the old ones stay.
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
        self._workers: set[WorkerProcess] = set()
        self._successors: list[asyncio.Queue[WorkerProcess]] = [asyncio.Queue() for _ in range(count)]
        self._exchange_is_wanted = asyncio.Event()
        self._stopping = asyncio.Event()
        self._code = 0

    async def run(self) -> int:
        """Run until a signal or an unusable worker; return the exit code."""
        loop = asyncio.get_running_loop()
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signal_number, self._on_signal)
        loop.add_signal_handler(signal.SIGHUP, self._exchange_is_wanted.set)
        keepers = [asyncio.create_task(self._keep(index), name=f"keeper-{index}") for index in range(self._count)]
        exchanger = asyncio.create_task(self._exchange_when_wanted(), name="exchanger")
        await self._stopping.wait()
        exchanger.cancel()
        self._send(signal.SIGTERM)
        gone = asyncio.create_task(self._all_gone(keepers))
        await asyncio.wait({gone}, timeout=KILLED_AFTER_S)
        if not gone.done():
            self._send(signal.SIGKILL)
            await gone
        return self._code

    def _on_signal(self) -> None:
        if self._stopping.is_set():
            self._send(signal.SIGKILL)
        self._stopping.set()

    def _send(self, signal_number: signal.Signals) -> None:
        for worker in self._workers:
            worker.send(signal_number)

    async def _all_gone(self, keepers: list[asyncio.Task[None]]) -> None:
        await asyncio.wait(keepers)
        for worker in list(self._workers):
            await worker.end()

    async def _keep(self, index: int) -> None:
        pause_s = FIRST_PAUSE_S
        successor: WorkerProcess | None = None
        while not self._stopping.is_set():
            started_s = time.monotonic()
            what_happened, successor = await self._live(successor, self._successors[index])
            if successor is not None:
                continue
            if self._stopping.is_set():
                return
            if time.monotonic() - started_s > LIVED_LONG_S:
                pause_s = FIRST_PAUSE_S
            logger.error("%s, starting it again in %g s", what_happened, pause_s)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def _live(
        self, worker: WorkerProcess | None, successors: asyncio.Queue[WorkerProcess]
    ) -> tuple[str, WorkerProcess | None]:
        """Start a worker unless there is one, and wait for its end; return a sentence, and its successor if any."""
        try:
            worker = worker or await self._start()
        except OSError as error:
            return f"a worker could not be started ({error.strerror})", None
        if self._stopping.is_set():
            worker.send(signal.SIGTERM)
        end, follow = asyncio.create_task(self._end_of(worker)), asyncio.create_task(successors.get())
        await asyncio.wait({end, follow}, return_when=asyncio.FIRST_COMPLETED)
        if follow.done():
            worker.send(signal.SIGUSR1)
            await asyncio.wait({end}, timeout=RETIRED_WITHIN_S)
            worker.send(signal.SIGKILL)
            await end
            successors.task_done()
            return "", follow.result()
        follow.cancel()
        if end.result() == UNUSABLE and not self._stopping.is_set() and not any(one.serves for one in self._workers):
            self._code = UNUSABLE
            self._stopping.set()
        return f"worker {worker.pid} ended with code {end.result()}", None

    async def _start(self) -> WorkerProcess:
        worker = await WorkerProcess.start(self._command, environment=self._environment, socket_fd=self._socket_fd)
        self._workers.add(worker)
        return worker

    async def _end_of(self, worker: WorkerProcess) -> int:
        code = await worker.end()
        self._workers.discard(worker)
        try:
            forget_worker(Path(self._environment[MULTIPROCESS_DIR]), worker.pid, keep_counts=worker.serves)
        except Exception:
            # a full disk, or a file that its worker was killed while writing to: no reason to be a worker short
            logger.exception("what worker %d counted is lost to the metrics", worker.pid)
        return code

    async def _exchange_when_wanted(self) -> None:
        while True:
            await self._exchange_is_wanted.wait()
            self._exchange_is_wanted.clear()
            logger.info("exchanging %d workers", self._count)
            for successors in self._successors:
                successor = await self._successor()
                if successor is None:
                    break
                successors.put_nowait(successor)
                await successors.join()
            else:
                logger.info("every worker is a new one")

    async def _successor(self) -> WorkerProcess | None:
        """Start a worker and wait until it serves; None if it does not come to that, which is logged."""
        try:
            worker = await self._start()
        except OSError as error:
            logger.exception("the workers stay: a new one could not be started (%s)", error.strerror)
            return None
        with contextlib.suppress(TimeoutError):
            if await asyncio.wait_for(worker.begins_to_serve(), SERVES_WITHIN_S):
                return worker
        worker.send(signal.SIGKILL)
        logger.error("the workers stay: a new one could not serve (it ended with code %d)", await self._end_of(worker))
        return None


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
    assert this is not None  # noqa: S101 -- asyncio.run made it
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
