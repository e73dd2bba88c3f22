"""Items that were added, changed or deleted online, shared by every replica through Redis."""

from __future__ import annotations

from secrets import token_hex
from typing import TYPE_CHECKING, Final

from app.contract.online_items import packed_item, unpacked_item
from app.storage.item_script import STORE_ITEMS_SCRIPT, STORE_ITEMS_SHA
from app.storage.redis_failures import FAILURES
from app.storage.script_runner import run_script

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.contract.online_items import StoredItem
    from app.storage.connection import RedisConnection
    from app.storage.key_layout import KeyLayout

PAGE: Final = 500
"""Changes that one round trip of `RedisItems.changes_since` fetches."""


class RedisItems:
    """Keeps the latest change of each item, found by the version that it made.

    Deleted items stay as tombstones, because a bundle may hold them and every replica must know.

    Args:
        redis: Where they are kept; opened and closed by the caller.
        layout: Names the keys.

    Attributes:
        damaged: How many stored changes were ignored because their bytes make no sense.
    """

    def __init__(self, redis: RedisConnection, *, layout: KeyLayout) -> None:
        self._redis = redis
        self._layout = layout
        self.damaged = 0

    async def store(self, items: Sequence[StoredItem]) -> int:
        """Store changes, all or none, and return the version of the last one.

        When this returns, every partition tells the new version to its readers, so that every replica catches up
        before it ranks for a user whose history it has read.

        Raises:
            StorageUnavailable: If Redis did not acknowledge.
        """
        keys = [self._layout.items, self._layout.item_changes, self._layout.item_version, self._layout.item_epoch]
        if not self._redis.is_cluster:
            keys += self._layout.catalog_versions()
        arguments = [token_hex(8).encode()]
        for item in items:
            arguments += (item.item_id.encode("utf-8", "surrogatepass"), packed_item(item))
        try:
            version = await run_script(self._redis, STORE_ITEMS_SCRIPT, STORE_ITEMS_SHA, [(keys, arguments)])
            if self._redis.is_cluster:
                await self._tell_partitions(version)
        except FAILURES as error:
            raise self._redis.failure(error, doing="store the items") from error
        return version

    async def version(self) -> int:
        """Return the latest version, 0 when no item was ever changed.

        Raises:
            StorageUnavailable: If Redis did not answer.
        """
        try:
            stored = await self._redis.client.get(self._layout.item_version)
        except FAILURES as error:
            raise self._redis.failure(error, doing="read the items' version") from error
        return int(stored) if stored and stored.isdigit() else 0

    async def epoch(self) -> str:
        """Return a random name that lasts as long as the stored versions: another one when Redis has lost them.

        Raises:
            StorageUnavailable: If Redis did not answer.
        """
        client, key = self._redis.client, self._layout.item_epoch
        try:
            named = await client.get(key)
            if named is None:
                await client.set(key, token_hex(8), nx=True)
                named = await client.get(key)
        except FAILURES as error:
            raise self._redis.failure(error, doing="read the items' epoch") from error
        return str(named or b"", "ascii", "replace")

    async def changes_since(self, version: int) -> tuple[list[StoredItem], int]:
        """Return the latest change of every item that changed after ``version``, and the version reached with them.

        The changes are in ascending order of version; damaged ones are left out and counted.

        Raises:
            StorageUnavailable: If Redis did not answer.
        """
        changes: list[StoredItem] = []
        try:
            while found := await self._page_after(version):
                changes += [item for item in found.values() if item is not None]
                version = max(found)
        except FAILURES as error:
            raise self._redis.failure(error, doing="read the items") from error
        return changes, version

    async def _page_after(self, version: int) -> dict[int, StoredItem | None]:
        """Return the next `PAGE` changes by version, None for damaged ones; empty at the end."""
        found = await self._redis.client.zrangebyscore(
            self._layout.item_changes, f"({version}", "+inf", start=0, num=PAGE, withscores=True
        )
        if not found:
            return {}
        packed = await self._redis.client.hmget(self._layout.items, [item_id for item_id, _ in found])
        page = {
            int(score): _change_of(item_id, stored or b"", version=int(score))
            for (item_id, score), stored in zip(found, packed, strict=True)
        }
        self.damaged += sum(item is None for item in page.values())
        return page

    async def _tell_partitions(self, version: int) -> None:
        """Copy the version to every partition of a cluster.

        Two writers may race and leave the lower version in a partition; replicas also ask for `version` from time to
        time, so that costs delay, not truth.
        """
        pipeline = self._redis.client.pipeline(transaction=False)
        for key in self._layout.catalog_versions():
            pipeline.set(key, version)
        await pipeline.execute()


def _change_of(item_id: bytes, packed: bytes, *, version: int) -> StoredItem | None:
    """Return a change from its id and bytes; None if one of them makes no sense."""
    try:
        name = item_id.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return None
    return unpacked_item(name, packed, version=version)
