"""The embedded store: a Valkey child process whose append-only file lies in the service's data folder."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote

from app.errors import DataFolderInUse, InvalidSetting, SeqrankError, StorageUnavailable
from app.storage import bound_child
from app.storage.server_binary import find_server_binary

LONGEST_SOCKET_PATH: Final = 100
"""A Unix socket's path is limited to 108 bytes on Linux, 104 on macOS."""

FULL_BELOW_BYTES: Final = 1 << 16
"""With less room the server cannot write, and ends; its own log, on the same disk, may not be able to say so."""

FULL: Final = "the disk of the embedded store (SEQRANK_DATA_DIR) is full"

_LOCK_WAIT_S: Final = 3.0
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 2.0
_LIVED_LONG_S: Final = 1.0

logger = logging.getLogger(__name__)


class EmbeddedValkey:
    """Starts, watches and stops one Valkey server on a Unix socket.

    Promise: the data folder has one server at a time (a lock that the server itself inherits); the server restarts from
    its append-only file when it dies, after a pause that doubles from 50 ms to 2 s; it dies with this process (Linux);
    leaving the context stops it cleanly.

    Args:
        data_dir: Folder of the append-only file, made with mode 0700 if missing.
        append_fsync: ``always`` (an acknowledged event survives a power cut), ``everysec`` (up to a second may be
            lost in a power cut, nothing when only the process dies) or ``no``.
        start_timeout_s: How long the server may say nothing at its start. While it says that it is loading its file it
            is waited for, however long that takes.

    Attributes:
        restarts: How often the server had to be started again.
    """

    def __init__(self, data_dir: Path, *, append_fsync: str = "always", start_timeout_s: float = 60.0) -> None:
        self._data_dir = data_dir.absolute()
        self._append_fsync = append_fsync
        self._start_timeout_s = start_timeout_s
        self._lock: int | None = None
        self._socket_dir: Path | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._watcher: asyncio.Task[None] | None = None
        self.restarts = 0

    @property
    def socket(self) -> Path:
        """The Unix socket; in a temporary folder when the data folder's path is too long for one."""
        return (self._socket_dir or self._data_dir) / "valkey.sock"

    @property
    def url(self) -> str:
        """Where the server listens, as `app.storage.connection.RedisOptions` takes it."""
        return f"unix://{quote(str(self.socket))}"

    @property
    def pid(self) -> int | None:
        """The server's process id; None while it is down."""
        return None if self._process is None or self._process.returncode is not None else self._process.pid

    def trouble(self) -> str | None:
        """Return why the server is away, in a sentence; None if nothing is known to be wrong with it."""
        if not self._has_room():
            return FULL
        if self.pid is None:
            return "the embedded store has ended and is being started again"
        return None

    async def __aenter__(self) -> Self:
        self._make_folder()
        self._lock = await self._take_lock()
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        self._watcher = asyncio.create_task(self._watch(), name="embedded-valkey")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watcher
        await self._stop()

    def _make_folder(self) -> None:
        try:
            self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidSetting(
                f"SEQRANK_DATA_DIR is {str(self._data_dir)!r}: the folder cannot be made: {error.strerror}"
            ) from error
        if len(os.fsencode(self._data_dir / "valkey.sock")) > LONGEST_SOCKET_PATH:
            self._socket_dir = Path(tempfile.mkdtemp(prefix="seqrank-"))

    async def _take_lock(self) -> int:
        """Lock the folder; wait a little for a predecessor that is just dying."""
        path = self._data_dir / "lock"
        try:
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise InvalidSetting(
                f"SEQRANK_DATA_DIR is {str(self._data_dir)!r}: the folder cannot be written: {error.strerror}"
            ) from error
        give_up_s = time.monotonic() + _LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if time.monotonic() > give_up_s:
                    os.close(lock)
                    raise DataFolderInUse(
                        f"SEQRANK_DATA_DIR is {str(self._data_dir)!r}: the folder is in use by another Seqrank, "
                        "expected one of its own"
                    ) from error
                await asyncio.sleep(0.05)
            else:
                return lock

    async def _start(self) -> None:
        """Start the server and return when it answers."""
        assert self._lock is not None  # noqa: S101 -- __aenter__ took it
        self.socket.unlink(missing_ok=True)
        with (self._data_dir / "valkey.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-S", bound_child.__file__, str(os.getpid()), *self._command(),
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(self._lock,),
            )  # fmt: skip
        give_up_s = time.monotonic() + self._start_timeout_s
        while not (reply := await self._reply()).startswith(b"+PONG"):
            if reply:
                give_up_s = time.monotonic() + self._start_timeout_s
            if self._process.returncode is not None:
                raise StorageUnavailable(f"the embedded Valkey ended at its start: {self._last_words()}")
            if time.monotonic() > give_up_s:
                raise StorageUnavailable(f"the embedded Valkey did not answer within {self._start_timeout_s:g} s")
            await asyncio.sleep(0.01)

    def _command(self) -> tuple[str, ...]:
        return (
            str(find_server_binary()),
            "--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700",
            "--dir", str(self._data_dir), "--save", "",
            "--appendonly", "yes", "--appendfsync", self._append_fsync, "--aof-load-truncated", "yes",
            "--daemonize", "no", "--loglevel", "notice",
        )  # fmt: skip

    async def _reply(self) -> bytes:
        """Return what the server answers to a ping, nothing where there is no answer."""
        try:
            async with asyncio.timeout(1.0):
                reader, writer = await asyncio.open_unix_connection(self.socket)
                try:
                    writer.write(b"PING\r\n")
                    return await reader.readline()
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return b""

    def _has_room(self) -> bool:
        try:
            return shutil.disk_usage(self._data_dir).free >= FULL_BELOW_BYTES
        except OSError:  # the folder is gone, which is another trouble
            return True

    def _last_words(self) -> str:
        if not self._has_room():  # nor had its log
            return FULL
        with contextlib.suppress(OSError):
            lines = (self._data_dir / "valkey.log").read_text("utf-8", "replace").split("\n")
            return next((line[-300:] for line in reversed(lines) if line.strip()), "it said nothing")
        return "it said nothing"

    async def _watch(self) -> None:
        """Start the server again whenever it has died."""
        pause_s = _FIRST_PAUSE_S
        while True:
            assert self._process is not None  # noqa: S101 -- __aenter__ started it
            started_s = time.monotonic()
            code = await self._process.wait()
            if time.monotonic() - started_s > _LIVED_LONG_S:
                pause_s = _FIRST_PAUSE_S
            reason = "its own log is valkey.log in SEQRANK_DATA_DIR" if self._has_room() else FULL
            logger.error("the embedded Valkey ended with code %d, starting it again in %g s: %s", code, pause_s, reason)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
            self.restarts += 1
            try:
                await self._start()
            except (SeqrankError, OSError) as error:
                logger.error("%s", error)  # noqa: TRY400 -- the sentence is enough
                await self._kill()

    async def _stop(self) -> None:
        """Stop the server, politely first, and let go of the folder."""
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(5.0):
                    await process.wait()
            except TimeoutError:
                await self._kill()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        if self._socket_dir is not None:
            shutil.rmtree(self._socket_dir, ignore_errors=True)

    async def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
