"""A few threads that run what they are handed and report back to the event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from queue import SimpleQueue
from statistics import median
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

Task: TypeAlias = "tuple[Callable[[], object], Callable[[object, BaseException | None, float], None]]"
"""What to run, and what to call on the event loop with its result or error and the seconds it took."""


async def handoff_s(*, rounds: int = 30) -> float:
    """Return what the way to a thread and back costs on this machine, seconds: the median of a few empty tasks."""
    loop = asyncio.get_running_loop()
    threads = WorkerThreads(1, name="handoff")
    threads.start(loop)
    spent_s = []
    for _ in range(rounds):
        arrived: asyncio.Future[None] = loop.create_future()
        started_s = time.perf_counter()
        threads.submit((lambda: None, lambda *_, future=arrived: future.set_result(None)))
        await arrived
        spent_s.append(time.perf_counter() - started_s)
    threads.close()
    return median(spent_s)


class WorkerThreads:
    """Threads with one shared line.

    Promise: every task that a thread takes is reported exactly once, on the event loop. A queue of the standard library
    and one wake-up of the loop a task cost less than an executor's futures.
    """

    def __init__(self, count: int, *, name: str) -> None:
        """Make ``count`` daemon threads, which `start` starts."""
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        self._busy_since_s: dict[int, float] = {}
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self.threads = [
            threading.Thread(target=self._work, args=(index,), name=f"{name}-{index}", daemon=True)
            for index in range(count)
        ]

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the threads; reports go to ``loop``."""
        self._loop = loop
        for thread in self.threads:
            thread.start()

    def submit(self, task: Task) -> None:
        """Hand a task to the next free thread."""
        self._tasks.put(task)

    def close(self) -> None:
        """Let every thread end after its current task; does not wait."""
        self._closed = True
        for _ in self.threads:
            self._tasks.put(None)

    def trouble(self, *, stuck_after_s: float) -> str | None:
        """Return what is wrong with a thread, or None."""
        for index, thread in enumerate(self.threads):
            if not thread.is_alive() and not self._closed:
                return f"the thread {thread.name} has died"
            since_s = self._busy_since_s.get(index)
            if since_s is not None and time.monotonic() - since_s > stuck_after_s:
                return f"the thread {thread.name} has been at one run for more than {stuck_after_s:g} s"
        return None

    def _work(self, index: int) -> None:
        while (task := self._tasks.get()) is not None:
            run, report = task
            result: object = None
            error: BaseException | None = None
            started_s = self._busy_since_s[index] = time.monotonic()
            try:
                result = run()
            except BaseException as caught:  # noqa: BLE001 -- whatever it is, its callers must hear of it
                error = caught
            seconds = time.monotonic() - started_s
            self._busy_since_s.pop(index, None)
            if self._loop is None or self._loop.is_closed():
                return
            self._loop.call_soon_threadsafe(report, result, error, seconds)
