"""Histories and items on a real cluster of three primaries."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from app.contract.event_log import log_key, partition_of
from app.contract.online_items import StoredItem
from app.errors import StorageUnavailable
from app.storage.connection import RedisOptions, open_redis
from app.storage.key_layout import KeyLayout
from app.storage.redis_items import RedisItems
from tests.integration.opened_history import event, opened_history
from tests.integration.redis_servers import running_cluster


async def test_events_of_many_users_spread_over_the_cluster(cluster_url, valkey_cluster):
    """One call stores events of users on every primary; each reads its own, and forgetting works."""
    async with opened_history(cluster_url) as history:
        events = [event(number, user=f"user-{number % 60}") for number in range(300)]
        assert await history.append(events) == 300
        assert await history.append(events) == 0
        for number in range(60):
            stored = await history.read(f"user-{number}", timeout_s=2.0)
            assert stored.timestamps_ms_E.tolist() == [event(n).timestamp_ms for n in range(number, 300, 60)]
        assert len(await history.recent_events("user-7")) == 5
        assert await history.forget("user-7") == {"history_events": 5, "log_entries": 5}
        assert len(await history.read("user-7", timeout_s=2.0)) == 0
    for server in valkey_cluster:
        with server.client() as client:
            assert client.dbsize() > 0


async def test_more_calls_than_connections_wait_in_line(cluster_url):
    """Hundreds of reads and writes at once share a few connections, and none fails."""
    async with opened_history(cluster_url, max_connections=2) as history:
        written = await asyncio.gather(*(history.append([event(n, user=f"user-{n}")]) for n in range(100)))
        assert sum(written) == 100
        read = await asyncio.gather(*(history.read(f"user-{n}", timeout_s=10.0) for n in range(100)))
        assert [len(stored) for stored in read] == [1] * 100


async def test_all_keys_of_a_user_share_a_slot(valkey_cluster):
    """History, details, log and the items' version of a user lie in one slot, whatever the user's id."""
    with valkey_cluster[0].client() as client:
        for user in ("ann", "{x}", "}{", "a{b}c"):
            keys = KeyLayout().of_user(user)
            names = (keys.packed, keys.details, keys.log, keys.catalog_version)
            assert len({client.execute_command("CLUSTER KEYSLOT", name) for name in names}) == 1


async def test_a_partial_failure_is_not_acknowledged_and_a_retry_completes_it(cluster_url, valkey_cluster):
    """When one partition refuses, the call fails; the same call again stores the rest and nothing twice."""
    events = [event(number, user=f"user-{number}") for number in range(12)]
    foreign = KeyLayout().of_user("user-3").details
    async with opened_history(cluster_url) as history:
        await history._redis.client.lpush(foreign, "theirs")
        with pytest.raises(StorageUnavailable):
            await history.append(events)
        await history._redis.client.delete(foreign)
        assert 1 <= await history.append(events) <= 12
        for number in range(12):
            assert len(await history.read(f"user-{number}", timeout_s=2.0)) == 1
            entries = await history._redis.client.xrange(log_key(partition_of(f"user-{number}")))
            assert sum(fields[b"u"] == f"user-{number}".encode() for _, fields in entries) == 1
    del valkey_cluster


async def test_items_are_stored_and_their_version_reaches_every_partition(cluster_url):
    """A change of an item is read back, and a history read of any user tells the new version."""
    async with open_redis(RedisOptions(url=cluster_url)) as opened, opened_history(cluster_url) as history:
        items = RedisItems(opened, layout=KeyLayout())
        version = await items.store([StoredItem(f"item-{n}", "a text", {}, "v1", None) for n in range(3)])
        assert version == 3 == await items.version()
        changes, reached = await items.changes_since(1)
        assert [change.item_id for change in changes] == ["item-1", "item-2"]
        assert reached == 3
        for number in range(30):
            assert (await history.read(f"user-{number}", timeout_s=2.0)).catalog_version == 3


async def test_a_cluster_that_is_down_is_a_sentence():
    """Nobody listening at a cluster's address is `StorageUnavailable`, for reads and writes."""
    async with opened_history("redis+cluster://127.0.0.1:1") as history:
        with pytest.raises(StorageUnavailable, match="Redis"):
            await history.read("ann", timeout_s=1.0)
        with pytest.raises(StorageUnavailable, match="could not store the events"):
            await history.append([event(1)])


async def test_a_dead_node_is_a_sentence_and_is_found_again(tmp_path):
    """While one of three nodes is dead calls end with a sentence; back again, it holds what was acknowledged."""
    durable = ("--appendonly", "yes", "--appendfsync", "always")
    with running_cluster(tmp_path, *durable) as nodes:
        events = [event(number, user=f"user-{number}") for number in range(60)]
        async with opened_history(f"redis+cluster://127.0.0.1:{nodes[0].port}") as history:
            assert await history.append(events) == 60
            nodes[1].kill()
            with pytest.raises(StorageUnavailable, match="could not store the events: "):
                await history.append([event(100 + number, user=f"user-{number}") for number in range(60)])
            nodes[1].start_again()
            async with asyncio.timeout(20):
                while True:
                    with contextlib.suppress(StorageUnavailable):
                        await history.append([event(200 + number, user=f"user-{number}") for number in range(60)])
                        break
                    await asyncio.sleep(0.05)
            for number in range(60):
                stored = {shown.event_id for shown in await history.recent_events(f"user-{number}")}
                assert {f"e{number}", f"e{200 + number}"} <= stored
