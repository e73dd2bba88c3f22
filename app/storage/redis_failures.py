"""What went wrong with Redis, in our words: the one place that turns its errors into `StorageUnavailable`."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from typing import TYPE_CHECKING, Final

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisClusterException, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.errors import StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

_SENTENCES: Final = {
    "LOADING": "Redis is still loading its data",
    "READONLY": "Redis refused to write: it is a read-only replica, expected the primary",
    "OOM": "Redis refused to write: its memory limit is reached",
    "MISCONF": "Redis refused to write: it cannot save to its disk",
    "NOREPLICAS": "Redis refused to write: it has fewer replicas than it is told to require",
    "MASTERDOWN": "Redis is a replica that has lost its primary",
    "CLUSTERDOWN": "the Redis Cluster does not serve every slot",
    "TRYAGAIN": "the Redis Cluster is moving the slot",
    "NOAUTH": "Redis wants a password, and the URL has none",
    "WRONGPASS": "Redis refused the user name or password",
    "NOPERM": "Redis forbids the command to this user",
    "WRONGTYPE": "a key of Seqrank holds a value of another program: expected another type",
    "BUSY": "Redis is busy with a script",
    "max number of clients": "Redis has as many clients as it allows, see its maxclients",
}
"""What Redis's error begins with -> our sentence. Its own text may hold keys, thus user ids, so it is not repeated."""

_AWAY: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (socket.gaierror, "the host name of Redis cannot be resolved"),
    (ssl.SSLError, "the TLS connection to Redis failed"),
    (ConnectionRefusedError, "Redis cannot be reached: nothing listens at its address"),
    (FileNotFoundError, "Redis cannot be reached: there is no socket at its path"),
    (PermissionError, "Redis cannot be reached: its socket may not be used by this user"),
    (TimeoutError, "Redis did not answer in time"),
)
"""What the system says of a connection that cannot be had -> our sentence, the most special first."""

_NAMES: Final = re.compile(rf"\b({'|'.join(_SENTENCES)})\b")

FAILURES: Final = (RedisError, RedisClusterException, OSError, asyncio.TimeoutError, AttributeError, RuntimeError)
"""What a call of redis-py may raise when the store is ill. `AttributeError`: redis-py 8 forgets a connection's writer
when one task closes the connection while another is opening it, as happens when a node of a cluster dies.
`RuntimeError`: uvloop's word for writing to a connection that the other side has just closed."""


def storage_failure(error: BaseException, *, doing: str, away: str | None = None) -> StorageUnavailable:
    """Return the failure to raise from ``error``.

    Args:
        error: One of `FAILURES`, or an error reply of Redis.
        doing: What was tried, for example ``store events``.
        away: Why Redis is away, where somebody knows more than the error of a broken connection says.
    """
    return StorageUnavailable(f"could not {doing}: {_reason(error, away)}")


def reply_failure(reply: str, *, doing: str) -> StorageUnavailable:
    """Return the failure for the text of an error reply, for example ``LOADING Redis is loading...``."""
    return StorageUnavailable(f"could not {doing}: {_sentence_of(reply) or _unnamed(reply)}")


def _reason(error: BaseException, away: str | None) -> str:
    if isinstance(error, RedisTimeoutError | asyncio.TimeoutError):
        return away or "Redis did not answer in time"
    status = str(getattr(error, "status_code", "") or "")
    named = _sentence_of(status) or _sentence_of(str(error))
    if named:
        return named
    if isinstance(error, ResponseError):
        return _unnamed(str(error))
    if isinstance(error, RedisConnectionError | OSError | AttributeError | RuntimeError):
        return away or _why_away(error) or "Redis cannot be reached, or closed the connection"
    return _why_away(error) or f"Redis failed with {type(error).__name__}"


def _why_away(error: BaseException) -> str | None:
    causes = list(_chain(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            why = getattr(cause, "verify_message", "unknown reason").rstrip(".")
            return f"Redis's TLS certificate was not accepted ({why}), see SEQRANK_REDIS_TLS_CA_FILE"
    return next((sentence for kind, sentence in _AWAY if any(isinstance(cause, kind) for cause in causes)), None)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error and what it was raised from or during; redis-py keeps the system's own error there."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _sentence_of(text: str) -> str | None:
    """Find a known error's name; redis-py puts words of its own before it where the command was one of several."""
    found = _NAMES.search(text)
    return _SENTENCES[found.group(1)] if found else None


def _unnamed(text: str) -> str:
    return f"Redis answered with the error {text.split(' ', 1)[0][:40]!r}"
