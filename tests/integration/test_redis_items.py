"""Items that replicas share, in a real Valkey."""

from __future__ import annotations

from contextlib import asynccontextmanager

import numpy as np
import pytest

from app.contract.online_items import StoredItem
from app.errors import StorageUnavailable
from app.storage.connection import RedisOptions, open_redis
from app.storage.key_layout import KeyLayout
from app.storage.redis_items import PAGE, RedisItems
from tests.integration.opened_history import opened_history


@asynccontextmanager
async def opened_items(url):
    """Open the items at a URL."""
    async with open_redis(RedisOptions(url=url)) as opened:
        yield RedisItems(opened, layout=KeyLayout())


def an_item(number, *, text="a text", deleted=False):
    """Return a change of item ``item-<number>``."""
    vector = None if deleted else np.arange(4, dtype=np.float32) + number
    return StoredItem(f"item-{number}", text, {"category": "ünï"}, "encoder 1", vector, deleted=deleted)


async def test_a_change_comes_back_as_it_was_stored(valkey_url):
    """Text, columns, encoder, vector and tombstone survive the way through Redis."""
    async with opened_items(valkey_url) as items:
        assert await items.store([an_item(1, text="ä\x00b \ud800"), an_item(2, deleted=True)]) == 2
        (first, second), reached = await items.changes_since(0)
    assert (first.item_id, first.text, first.columns) == ("item-1", "ä\x00b \ud800", {"category": "ünï"})
    assert (first.encoder, first.deleted, first.version) == ("encoder 1", False, 1)
    assert first.vector_D is not None
    assert first.vector_D.tolist() == [1, 2, 3, 4]
    assert (second.deleted, second.vector_D, second.version) == (True, None, 2)
    assert reached == 2


async def test_only_the_latest_change_of_an_item_counts(valkey_url):
    """An item that changed twice appears once, under its latest version."""
    async with opened_items(valkey_url) as items:
        await items.store([an_item(1), an_item(2)])
        await items.store([an_item(1, text="newer")])
        changes, _ = await items.changes_since(0)
        assert [(change.item_id, change.text, change.version) for change in changes] == [
            ("item-2", "a text", 2),
            ("item-1", "newer", 3),
        ]
        assert await items.changes_since(3) == ([], 3)


async def test_many_changes_come_in_pages(valkey_url):
    """More changes than one page are all returned, in order."""
    async with opened_items(valkey_url) as items:
        await items.store([an_item(number) for number in range(PAGE + 7)])
        changes, reached = await items.changes_since(0)
    assert [change.version for change in changes] == list(range(1, PAGE + 8))
    assert reached == PAGE + 7


async def test_every_history_read_tells_the_new_version(valkey_url):
    """Users of every partition learn the version with their history."""
    async with opened_items(valkey_url) as items, opened_history(valkey_url) as history:
        await items.store([an_item(1), an_item(2)])
        for number in range(50):
            assert (await history.read(f"user-{number}", timeout_s=1.0)).catalog_version == 2


async def test_damaged_changes_are_left_out_and_counted(valkey_url):
    """A change whose bytes make no sense is skipped, and the version still moves past it."""
    async with opened_items(valkey_url) as items:
        await items.store([an_item(1), an_item(2)])
        for nonsense in (b"", b"\xff\xff\xff\xff", b"\x02\x00\x00\x00[]"):
            await items._redis.client.hset(KeyLayout().items, "item-2", nonsense)
            changes, reached = await items.changes_since(0)
            assert [change.item_id for change in changes] == ["item-1"]
            assert reached == 2
        assert items.damaged == 3


async def test_an_id_that_is_no_text_is_left_out_too(valkey_url):
    """A change under bytes that are not UTF-8 is skipped and counted like any other that makes no sense."""
    async with opened_items(valkey_url) as items:
        await items.store([an_item(1)])
        await items._redis.client.zadd(KeyLayout().item_changes, {b"\xff": 2})
        changes, reached = await items.changes_since(0)
    assert ([change.item_id for change in changes], reached, items.damaged) == (["item-1"], 2, 1)


async def test_the_epoch_lasts_as_long_as_the_versions(valkey_server):
    """It is the same for every reader and after every change, and another one when Redis comes back empty."""
    async with opened_items(valkey_server.url) as items, opened_items(valkey_server.url) as others:
        await items.store([an_item(1)])
        epoch = await items.epoch()
        await others.store([an_item(2)])
        assert epoch == await others.epoch() != ""
        await items._redis.client.flushall()
        assert await others.epoch() != epoch
        assert await items.epoch() == await others.epoch()


async def test_a_foreign_key_stores_nothing(valkey_url):
    """When a key of the items belongs to another program, nothing of the call is stored."""
    async with opened_items(valkey_url) as items:
        await items._redis.client.set(KeyLayout().item_changes, "theirs")
        with pytest.raises(StorageUnavailable, match="another program"):
            await items.store([an_item(1)])
        assert await items.version() == 0
        assert not await items._redis.client.exists(KeyLayout().items)
