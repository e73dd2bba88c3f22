"""The names in the event log: what the service writes and ``python -m model_export collect`` reads.

The log is `LOG_PARTITIONS` Redis Streams. A user belongs to one partition, and the partition's number is the hash tag
of every key of the user, so that one server-side script writes history and log together, on a Redis Cluster too.
"""

from __future__ import annotations

from typing import Final

from app.contract.identity import key_of

LOG_PARTITIONS: Final = 256
"""How many streams there are; part of the key layout, so a change needs a new `KEY_PREFIX`."""

KEY_PREFIX: Final = "seqrank1"
"""Begins every key; its digit is the version of the layout and of the packed records."""

USER: Final = b"u"
ITEM: Final = b"i"
ACTION: Final = b"a"
TIMESTAMP_MS: Final = b"t"
EVENT_ID: Final = b"e"
"""Fields of one entry of the log. The entry's own id begins with the server's arrival time in epoch milliseconds."""


def partition_of(user_token: str) -> int:
    """Return the partition of a user, ``0 .. LOG_PARTITIONS - 1``; the same in every process."""
    return key_of(user_token) % LOG_PARTITIONS


def hash_tag(partition: int) -> str:
    """Return what a partition's keys carry in braces: ``p0`` .. ``p255``."""
    return f"p{partition}"


def log_key(partition: int) -> str:
    """Return the key of a partition's stream.

    >>> log_key(7)
    'seqrank1:{p7}:log'
    """
    return f"{KEY_PREFIX}:{{{hash_tag(partition)}}}:log"
