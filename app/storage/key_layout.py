"""Which Redis keys belong to a user, a partition or the items."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from hashlib import sha256

from app.contract.event_log import KEY_PREFIX, LOG_PARTITIONS, hash_tag, log_key, partition_of
from app.contract.online_items import ITEMS_KEY


@dataclass(frozen=True, slots=True)
class UserKeys:
    """The keys of one user; all carry the partition's hash tag, so they share a Cluster slot.

    Attributes:
        token: What stands for the user in keys and log: the id, or its keyed hash.
        partition: ``0 .. LOG_PARTITIONS - 1``.
        packed: String key of the packed records.
        details: Hash key of the readable events, by 8-byte event key.
        log: Stream key of the partition.
        catalog_version: String key of the partition's copy of the items' version.
    """

    token: str
    partition: int
    packed: bytes
    details: bytes
    log: bytes
    catalog_version: bytes


class KeyLayout:
    """Names every key, and hides user ids when a secret is given.

    With a secret, a user appears as the first 128 bits of HMAC-SHA256(secret, user id), in hex: keys, event log and
    collected files then hold no user id. Another secret means other tokens, so histories start anew.
    """

    def __init__(self, *, user_secret: str = "") -> None:
        self._secret = user_secret.encode()
        self.items = ITEMS_KEY.encode()
        """Hash: item id -> packed change."""
        self.item_changes = f"{KEY_PREFIX}:{{items}}:changes".encode()
        """Sorted set: item id by the version of its latest change."""
        self.item_version = f"{KEY_PREFIX}:{{items}}:version".encode()
        """Counter: the latest version."""
        self.item_epoch = f"{KEY_PREFIX}:{{items}}:epoch".encode()
        """String: a random name of what the versions count; gone with them."""
        self._of_partition = [self._keys_of_partition(partition) for partition in range(LOG_PARTITIONS)]

    def token_of(self, user: str) -> str:
        """Return what stands for the user: the id itself, or its keyed hash when there is a secret."""
        if not self._secret:
            return user
        return hmac.new(self._secret, user.encode("utf-8", "surrogatepass"), sha256).hexdigest()[:32]

    def of_user(self, user: str) -> UserKeys:
        """Return the keys of a user."""
        token = self.token_of(user)
        partition = partition_of(token)
        packed, details, log, catalog_version = self._of_partition[partition]
        name = token.encode("utf-8", "surrogatepass")
        return UserKeys(token, partition, packed + name, details + name, log, catalog_version)

    def log(self, partition: int) -> bytes:
        """Return the stream key of a partition."""
        return self._of_partition[partition][2]

    def catalog_version(self, partition: int) -> bytes:
        """Return the key of a partition's copy of the items' version."""
        return self._of_partition[partition][3]

    def catalog_versions(self) -> list[bytes]:
        """Return the keys of all copies."""
        return [self.catalog_version(partition) for partition in range(LOG_PARTITIONS)]

    def _keys_of_partition(self, partition: int) -> tuple[bytes, bytes, bytes, bytes]:
        """Return what a user's packed and details keys begin with, the log's key and the version's key."""
        stem = f"{KEY_PREFIX}:{{{hash_tag(partition)}}}"
        log = log_key(partition)
        return f"{stem}:h:".encode(), f"{stem}:e:".encode(), log.encode(), f"{stem}:items-version".encode()
