"""Keys in a file that is read again when it changes."""

from __future__ import annotations

import codecs
import logging
import time
from typing import TYPE_CHECKING, Final

from app.errors import InvalidSetting

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOOK_AGAIN_AFTER_S: Final = 1.0
"""How long a changed key file may go unnoticed."""

logger = logging.getLogger("seqrank.keys")


class KeyFile:
    """Keys, one a line; empty lines and those with ``#`` are skipped.

    Promise: what the file says counts within `LOOK_AGAIN_AFTER_S`; a file without any key lets nobody in. One that is
    gone or cannot be read says nothing, so that its last keys stay: a rotation caught halfway neither locks everybody
    out nor opens anything. Neither happens in silence: every change for worse or better is logged once, and `trouble`
    tells it as long as it lasts.
    """

    def __init__(self, path: Path, *, setting: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the file.

        Args:
            path: The file.
            setting: The variable that names it, for sentences; logs repeat no path.
            clock: Seconds.

        Raises:
            InvalidSetting: If it cannot be read or holds no key.
        """
        self._path = path
        self._setting = setting
        self._clock = clock
        self._looked_s = clock()
        try:
            self._stamp = self._stamp_now()
            self._keys = self._read()
        except OSError as error:
            raise InvalidSetting(f"{setting} is {str(path)!r}: it cannot be read: {error.strerror}") from error
        if not self._keys:
            raise InvalidSetting(f"{setting} is {str(path)!r}: the file holds no key, expected one a line")
        self._trouble: str | None = None

    def keys(self) -> tuple[bytes, ...]:
        """Return the keys that count now."""
        if self._clock() - self._looked_s >= LOOK_AGAIN_AFTER_S:
            self._looked_s = self._clock()
            self._look()
        return self._keys

    def trouble(self) -> str | None:
        """Return what is wrong with the file, in a sentence without its path; None if nothing is."""
        self.keys()
        return self._trouble

    def _look(self) -> None:
        try:
            stamp = self._stamp_now()
            if stamp != self._stamp:
                self._keys, self._stamp = self._read(), stamp
        except OSError as error:
            self._say(f"the file of {self._setting} cannot be read ({error.strerror}): its last keys still count")
        else:
            self._say(None if self._keys else f"the file of {self._setting} holds no key any more: it lets nobody in")

    def _say(self, trouble: str | None) -> None:
        if trouble == self._trouble:
            return
        self._trouble = trouble
        if trouble is not None:
            logger.error(trouble)
        else:
            logger.warning("the file of %s is read again, with %d keys", self._setting, len(self._keys))

    def _stamp_now(self) -> tuple[int, int, int, int]:
        status = self._path.stat()
        # the change time too: taking the right to read away leaves the file's own time as it was
        return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino

    def _read(self) -> tuple[bytes, ...]:
        # some editors begin a text with a byte order mark, which would be part of the first key
        content = self._path.read_bytes().removeprefix(codecs.BOM_UTF8)
        lines = (line.strip() for line in content.splitlines())
        return tuple(line for line in lines if line and not line.startswith(b"#"))
