"""What replicas know of each other's changes when rows are scarce, the store is lost, or texts are forgotten."""

from __future__ import annotations

import asyncio
import contextlib
import time

import numpy as np
import pytest

from app.catalog import vector_table
from app.catalog.text_rows import TextRows
from app.contract.online_items import NewItem, StoredItem
from app.errors import Overloaded
from tests.unit.app.catalog.small_shop import Encoder, MemoryStore, open_shop, vector_of


def desks(count, name="desk"):
    """Return so many new items."""
    return [NewItem(f"{name}-{n}", f"{name} {n}") for n in range(count)]


async def test_items_beyond_the_spare_rows_are_refused_before_they_are_stored(tmp_path):
    """A refused call leaves nothing in the store, and what is changed afterwards still reaches the catalogue."""
    store = MemoryStore()
    async with open_shop(tmp_path, store=store, spare_rows=3) as catalog:
        await catalog.put_items(desks(2))
        with pytest.raises(Overloaded, match="has 1 spare rows left, expected 2"):
            await catalog.put_items(desks(2, "sofa"))
        assert sorted(store.changes) == ["desk-0", "desk-1"]
        assert await catalog.delete_items(["desk-0"]) == 1
        assert catalog.rows_of_ids(["desk-0", "desk-1"]).tolist() == [0, 6]


async def test_a_replica_without_enough_rows_takes_what_it_can(tmp_path, monkeypatch, caplog):
    """What another replica had room for and this one has not is left out, and taken when a row is free."""
    monkeypatch.setattr(vector_table, "QUARANTINE_S", 0.0)
    store = MemoryStore()
    await store.store([StoredItem(i.item_id, i.text, {}, "ours", vector_of(i.text)) for i in desks(4)])
    await store.store([StoredItem("rug", "", {}, "ours", None, deleted=True)])
    async with open_shop(tmp_path, store=store, spare_rows=3, check_every_s=0.005) as catalog:
        assert "no spare rows for 1 items" in caplog.text
        assert (catalog.version, catalog.item_count) == (5, 6)
        assert catalog.rows_of_ids(["desk-0", "desk-2", "desk-3", "rug"]).tolist() == [5, 7, 0, 0]
        await catalog.delete_items(["desk-0"])
        async with asyncio.timeout(5):
            while not catalog.rows_of_ids(["desk-3"])[0]:  # noqa: ASYNC110 -- the catalogue's own task
                await asyncio.sleep(0.005)
        assert catalog.ids_of_rows(catalog.rows_of_ids(["desk-3"])) == ["desk-3"]


@pytest.mark.parametrize("puts", [1, 2, 5])
async def test_what_is_put_after_the_store_came_back_empty_is_there_and_nothing_else(tmp_path, puts):
    """Fewer, as many or more changes than before: the replica that put them and the others know exactly these."""
    store = MemoryStore()
    async with open_shop(tmp_path, store=store) as first, open_shop(tmp_path, store=store) as second:
        await first.put_items(desks(2))
        await second.refresh(2)
        store.lose()
        await first.put_items(desks(puts, "sofa"))
        await second.describe_item("rug")
        for catalog in (first, second):
            assert catalog.rows_of_ids([item.item_id for item in desks(2)]).tolist() == [0, 0]
            assert all(catalog.rows_of_ids([item.item_id for item in desks(puts, "sofa")]))
            assert (catalog.version, catalog.item_count) == (puts, 4 + puts)


async def test_the_periodic_question_notices_another_store_of_the_same_version(tmp_path):
    """A store that lost two changes and has two others is not taken for the one that was known."""
    store = MemoryStore()
    async with open_shop(tmp_path, store=store, check_every_s=0.005) as catalog:
        await catalog.put_items(desks(2))
        store.lose()
        await store.store([StoredItem(i.item_id, i.text, {}, "ours", vector_of(i.text)) for i in desks(2, "sofa")])
        async with asyncio.timeout(5):
            while not catalog.rows_of_ids(["sofa-1"])[0]:  # noqa: ASYNC110 -- the catalogue's own task
                await asyncio.sleep(0.005)
        assert catalog.rows_of_ids(["desk-0"]).tolist() == [0]


async def test_an_item_is_described_as_another_replica_left_it(tmp_path):
    """What was added or deleted elsewhere a moment ago is seen at once; without the store, what is known here."""
    store = MemoryStore()
    async with open_shop(tmp_path, store=store) as first, open_shop(tmp_path, store=store) as second:
        await first.put_items([NewItem("desk", "a desk")])
        assert (await second.describe_item("desk")).text == "a desk"
        await first.delete_items(["desk", "rug"])
        assert await second.describe_item("rug") is None
        store.down = True
        assert (await second.describe_item("lamp")).text == "a lamp"


async def test_a_text_that_is_forgotten_while_others_are_encoded_keeps_its_row(tmp_path):
    """A request that began with a known text ends with it, however many texts came meanwhile."""
    async with open_shop(tmp_path) as catalog:
        catalog._text_rows = TextRows(capacity=2)
        known = await catalog.rows_of_texts(["a bed"])
        others = asyncio.create_task(catalog.rows_of_texts(["a bench", "a shelf"]))
        await asyncio.sleep(0)
        both = await catalog.rows_of_texts(["a bed", "a stool"])
        await others
        assert both[0] == known[0]
        np.testing.assert_array_equal(catalog.vectors_of_rows(both)[0], vector_of("a bed"))


async def test_texts_that_do_not_fit_one_request_are_known_after_a_few(tmp_path):
    """Each request that gives up leaves the run that was under way behind, and the next one goes on from there."""

    class SlowEncoder(Encoder):
        def encode(self, texts):
            time.sleep(0.05)
            return super().encode(texts)

    texts, encoder, tries = [f"text {n}" for n in range(80)], SlowEncoder(), 0
    async with open_shop(tmp_path, encoder=encoder) as catalog:
        async with asyncio.timeout(5):
            rows = None
            while rows is None:
                tries += 1
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.02):
                        rows = await catalog.rows_of_texts(texts)
        assert tries > 1
        np.testing.assert_array_equal(catalog.vectors_of_rows(rows), [vector_of(text) for text in texts])
        encoder.encoded.clear()
        assert (await catalog.rows_of_texts(texts)).tolist() == rows.tolist()
        assert encoder.encoded == []
