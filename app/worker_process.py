"""One worker process of several, from its start to its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import signal
    from collections.abc import Mapping, Sequence


class WorkerProcess:
    """A worker that tells through a pipe when it begins to serve; make it with `start`."""

    def __init__(self, process: asyncio.subprocess.Process, told: int) -> None:
        """Take the process and the reading end of its pipe."""
        self._process = process
        self._told = told
        self._loop = asyncio.get_running_loop()
        self._serving: asyncio.Future[bool] = self._loop.create_future()
        self._loop.add_reader(told, self._read)

    @classmethod
    async def start(cls, command: Sequence[str], *, environment: Mapping[str, str], socket_fd: int) -> Self:
        """Start one.

        Args:
            command: Program and arguments; the number of the pipe to write to is added.
            environment: All of it.
            socket_fd: The listening socket that it inherits.

        Raises:
            OSError: If it cannot be started.
        """
        told, tell = os.pipe()
        os.set_blocking(told, False)
        try:
            process = await asyncio.create_subprocess_exec(
                *command, str(tell), env=environment, pass_fds=(socket_fd, tell)
            )
        except BaseException:
            os.close(told)
            raise
        finally:
            os.close(tell)
        return cls(process, told)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def serves(self) -> bool:
        """Whether it has begun to serve."""
        return self._serving.done() and self._serving.result()

    async def begins_to_serve(self) -> bool:
        """Wait until it serves; return False if it ended instead."""
        return await asyncio.shield(self._serving)

    async def end(self) -> int:
        """Wait for its end and return its exit code, negative for a signal."""
        code = await self._process.wait()
        self._decide(serves=False)
        return code

    def send(self, signal_number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal_number)

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            # the pipe of a process that ends is at its end
            self._decide(serves=os.read(self._told, 1) != b"")

    def _decide(self, *, serves: bool) -> None:
        if not self._serving.done():
            self._serving.set_result(serves)
            self._loop.remove_reader(self._told)
            os.close(self._told)
