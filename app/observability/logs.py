"""Log lines as JSON or as text, one a line, without user ids."""

from __future__ import annotations

import hmac
import json
import logging
import sys
from datetime import UTC, datetime
from hashlib import sha256
from secrets import token_bytes
from typing import Any, Final

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}


class JsonFormatter(logging.Formatter):
    """Writes time, level, logger, message, and whatever was given as ``extra``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry |= _given(record)
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    """Writes time, level, logger, message, and whatever was given as ``extra`` as ``name=value``."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 -- the library's name
        """Return one line; the library puts an exception below it."""
        return " ".join([super().formatMessage(record), *(f"{name}={value}" for name, value in _given(record).items())])


def _given(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def configure(level: str, style: str) -> None:
    """Send every logger of the process to stderr.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``.
        style: ``json`` or ``text``.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


class Pseudonyms:
    """Stands in for user ids in log lines: the same user has the same name, and nobody can find the user from it."""

    def __init__(self, secret: str = "") -> None:
        """Use a secret; without one, a new one that is forgotten with the process."""
        self._secret = secret.encode() or token_bytes(32)

    def of(self, user: str | None) -> str | None:
        """Return 16 hex digits, or None for nobody."""
        if user is None:
            return None
        return hmac.new(self._secret, user.encode("utf-8", "surrogatepass"), sha256).hexdigest()[:16]
