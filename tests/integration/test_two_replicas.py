"""Two replicas of the service's catalogue on one Valkey."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import numpy as np
import pytest

from app.catalog.online_catalog import open_catalog
from app.contract.online_items import NewItem
from app.errors import StorageUnavailable
from app.inference.onnx_item_encoder import OnnxItemEncoder
from app.inference.onnx_ranker import OnnxRanker
from app.inference.provider import obtain_provider
from app.storage.connection import RedisOptions, open_redis
from app.storage.key_layout import KeyLayout
from app.storage.redis_items import RedisItems
from tests.integration.opened_history import event, opened_history
from tests.tiny_bundle import MAX_TOKENS


@asynccontextmanager
async def replica(bundle, url, *, encoder_name="v1", check_every_s=60.0):
    """Open a catalogue whose table is bound to a real ranker."""
    provider = obtain_provider("cpu")
    encoder = OnnxItemEncoder(bundle, provider=provider, max_tokens=MAX_TOKENS)
    table = np.load(bundle / "item_table.npy")
    ranker = OnnxRanker(bundle, table, provider=provider)
    async with (
        open_redis(RedisOptions(url=url, write_timeout_ms=5000)) as opened,
        open_catalog(
            bundle,
            encoder=encoder,
            encoder_name=encoder_name,
            store=RedisItems(opened, layout=KeyLayout()),
            on_table_changed=ranker.use_item_table,
            check_every_s=check_every_s,
        ) as catalog,
    ):
        yield catalog, ranker


async def test_an_item_added_through_one_replica_ranks_on_the_other(tiny_bundle, valkey_url):
    """The version that comes with a history makes the other replica catch up, with the same vector."""
    async with (
        replica(tiny_bundle, valkey_url) as (first, _),
        replica(tiny_bundle, valkey_url) as (second, ranker),
        opened_history(valkey_url) as history,
    ):
        version = await first.put_items([NewItem("new", "red shoes number 3", {"category": "shoes"})])
        assert second.rows_of_ids(["new"]).tolist() == [0]
        stored = await history.read("anybody", timeout_s=1.0)
        assert stored.catalog_version == version
        await second.refresh(stored.catalog_version)
        assert second.version == version
        row = second.rows_of_ids(["new"])
        assert row.tolist() == [201]
        assert second.column_of_rows("category", row) == ["shoes"]
        np.testing.assert_array_equal(first.vectors_of_rows(first.rows_of_ids(["new"])), second.vectors_of_rows(row))
        assert ranker.row_count > 201


async def test_an_event_of_a_new_item_is_part_of_the_history(tiny_bundle, valkey_url):
    """The key in a stored event leads to the new item's row."""
    async with replica(tiny_bundle, valkey_url) as (catalog, _), opened_history(valkey_url) as history:
        await catalog.put_items([NewItem("new", "red shoes")])
        await history.append([event(1, item="new"), event(2, item="item-5"), event(3, item="never seen")])
        stored = await history.read("ann", timeout_s=1.0)
        assert catalog.rows_of_keys(stored.item_keys_E).tolist() == [201, 5, 0]


async def test_a_replica_that_reads_no_history_catches_up_in_the_background(tiny_bundle, valkey_url):
    """The periodic question alone brings additions and deletions over."""
    async with (
        replica(tiny_bundle, valkey_url) as (first, _),
        replica(tiny_bundle, valkey_url, check_every_s=0.02) as (second, _),
    ):
        await first.put_items([NewItem("new", "red shoes")])
        await first.delete_items(["item-7"])
        async with asyncio.timeout(5):
            while second.version < 2:  # noqa: ASYNC110 -- the replica's own task
                await asyncio.sleep(0.01)
        assert second.rows_of_ids(["new", "item-7"]).tolist() == [201, 0]
        assert 7 not in second.live_rows()


async def test_a_replica_that_starts_later_knows_everything(tiny_bundle, valkey_url):
    """Additions, changes and deletions from before its start are there at once."""
    async with replica(tiny_bundle, valkey_url) as (first, _):
        await first.put_items([NewItem("new", "red shoes"), NewItem("item-2", "green garden number 9")])
        await first.delete_items(["item-3"])
        async with replica(tiny_bundle, valkey_url) as (second, _):
            assert second.version == 3
            assert second.rows_of_ids(["new", "item-2", "item-3"]).tolist() == [201, 202, 0]
            assert (await second.describe_item("item-2")).text == "green garden number 9"
            assert await second.describe_item("item-3") is None


async def test_a_replica_with_another_encoder_makes_its_own_vector(tiny_bundle, valkey_url):
    """A vector of another bundle's encoder is not used; the text is encoded here."""
    async with replica(tiny_bundle, valkey_url, encoder_name="theirs") as (first, _):
        await first.put_items([NewItem("new", "red shoes number 3")])
        stored = (await first._store.changes_since(0))[0][0]
        await first._store.store([type(stored)("new", stored.text, {}, "theirs", stored.vector_D + 9)])
        async with replica(tiny_bundle, valkey_url, encoder_name="ours") as (second, _):
            vector = second.vectors_of_rows(second.rows_of_ids(["new"]))[0]
            np.testing.assert_allclose(vector, stored.vector_D, rtol=1e-5)


async def test_a_store_that_lost_its_items_is_followed(tiny_bundle, valkey_server):
    """When Redis comes back empty, replicas return to the bundle's items, all alike."""
    async with replica(tiny_bundle, valkey_server.url, check_every_s=0.02) as (catalog, _):
        await catalog.put_items([NewItem("new", "red shoes")])
        await catalog.delete_items(["item-7"])
        with valkey_server.client() as client:
            client.flushall()
        async with asyncio.timeout(5):
            while catalog.version:  # noqa: ASYNC110 -- the replica's own task
                await asyncio.sleep(0.01)
        assert catalog.rows_of_ids(["new", "item-7"]).tolist() == [0, 7]
        assert catalog.item_count == 200


async def test_items_put_after_the_store_lost_its_items_are_known_to_all(tiny_bundle, valkey_server):
    """More changes than there were before hide nothing: every replica knows the new items, and the old ones no more."""
    async with (
        replica(tiny_bundle, valkey_server.url) as (first, _),
        replica(tiny_bundle, valkey_server.url, check_every_s=0.02) as (second, _),
    ):
        await first.put_items([NewItem("old", "red shoes")])
        with valkey_server.client() as client:
            client.flushall()
        await first.put_items([NewItem(f"new-{number}", "red shoes") for number in range(3)])
        async with asyncio.timeout(5):
            while not second.rows_of_ids(["new-2"])[0]:  # noqa: ASYNC110 -- the replica's own task
                await asyncio.sleep(0.01)
        for catalog in (first, second):
            assert (catalog.item_count, catalog.rows_of_ids(["old"]).tolist()) == (203, [0])


async def test_a_store_that_is_down_does_not_keep_a_replica_from_starting(tiny_bundle, own_server):
    """Without Redis the bundle's items rank; additions are refused with a sentence until it is back."""
    own_server.kill()
    async with replica(tiny_bundle, own_server.url) as (catalog, _):
        assert catalog.item_count == 200
        with pytest.raises(StorageUnavailable, match="could not store the items"):
            await catalog.put_items([NewItem("new", "red shoes")])
        assert catalog.rows_of_ids(["new"]).tolist() == [0]
        await asyncio.to_thread(own_server.start_again)
        await catalog.put_items([NewItem("new", "red shoes")])
        assert catalog.rows_of_ids(["new"]).tolist() != [0]
