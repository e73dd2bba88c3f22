"""Items added, changed and deleted while the service runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import numpy as np
import pytest

from app.catalog import vector_table
from app.contract.identity import keys_of
from app.contract.online_items import NewItem, StoredItem
from app.errors import Overloaded, ScoringFailed, StorageUnavailable
from tests.unit.app.catalog.small_shop import IDS, Encoder, MemoryStore, open_shop, vector_of


def rows(*numbers):
    """Return an array of rows."""
    return np.array(numbers)


async def test_the_bundles_items_are_there_at_once(tmp_path):
    """Rows, ids, priors, vectors and columns are the bundle's."""
    tables = []
    async with open_shop(tmp_path, tables=tables) as catalog:
        assert catalog.rows_of_ids(IDS).tolist() == [1, 2, 3, 4]
        assert catalog.ids_of_rows(rows(4, 1)) == ["vase", "lamp"]
        assert catalog.live_rows().tolist() == [1, 2, 3, 4]
        assert catalog.prior_of_rows(rows(0, 1, 4)).tolist() == [-np.inf, -1.0, -8.0]
        assert catalog.column_of_rows("category", rows(2, 1, 0)) == ["floor", "light", ""]
        np.testing.assert_array_equal(catalog.vectors_of_rows(rows(1))[0], vector_of("a lamp") + 0.5)
        assert (catalog.version, catalog.item_count, catalog.online_count) == (0, 4, 0)
    assert [len(table) for table in tables] == [5]


async def test_a_new_item_ranks_from_its_version_on(tmp_path):
    """A new item has the encoder's vector, its columns, the median prior, and is rankable."""
    tables = []
    async with open_shop(tmp_path, tables=tables) as catalog:
        assert await catalog.put_items([NewItem("desk", "a desk", {"category": "seat"})]) == 1
        row = catalog.rows_of_ids(["desk"])
        assert row.tolist() == [5]
        assert catalog.rows_of_keys(keys_of(["desk"])).tolist() == [5]
        assert catalog.ids_of_rows(row) == ["desk"]
        assert catalog.live_rows().tolist() == [1, 2, 3, 4, 5]
        assert catalog.prior_of_rows(row).tolist() == [-2.5]
        assert catalog.column_of_rows("category", row) == ["seat"]
        assert catalog.column_of_rows("colour", row) == [""]
        np.testing.assert_array_equal(tables[-1][5], vector_of("a desk"))
        described = await catalog.describe_item("desk")
        assert (described.text, described.columns, described.online) == ("a desk", {"category": "seat"}, True)


async def test_the_ranker_sees_a_row_before_any_id_leads_to_it(tmp_path):
    """When the table is published the vector is in it and the id is still unknown."""
    seen = []

    class Tables(list):
        def append(self, table):
            seen.append((table[5].tolist(), catalog.rows_of_ids(["desk"]).tolist()) if len(table) > 5 else None)

    async with open_shop(tmp_path, tables=Tables()) as catalog:
        await catalog.put_items([NewItem("desk", "a desk")])
    assert seen == [None, (vector_of("a desk").tolist(), [0])]


async def test_a_changed_text_gets_a_row_of_its_own(tmp_path):
    """The new text's vector has nothing of the old one; prior and columns stay; the old row is rankable no more."""
    async with open_shop(tmp_path) as catalog:
        await catalog.put_items([NewItem("rug", "a red rug", {"colour": "red"})])
        row = catalog.rows_of_ids(["rug"])
        assert row.tolist() == [5]
        np.testing.assert_array_equal(catalog.vectors_of_rows(row)[0], vector_of("a red rug"))
        assert catalog.prior_of_rows(row).tolist() == [-2.0]
        assert catalog.column_of_rows("category", row) == ["floor"]
        assert catalog.column_of_rows("colour", row) == ["red"]
        assert catalog.live_rows().tolist() == [1, 3, 4, 5]
        described = await catalog.describe_item("rug")
        assert (described.text, described.columns) == ("a red rug", {"category": "floor", "colour": "red"})


async def test_the_old_text_brings_the_old_row_back(tmp_path):
    """An item whose text is the bundle's again has the bundle's vector again."""
    async with open_shop(tmp_path) as catalog:
        await catalog.put_items([NewItem("rug", "a red rug")])
        await catalog.put_items([NewItem("rug", "a rug", {"category": "carpet"})])
        assert catalog.rows_of_ids(["rug"]).tolist() == [2]
        assert catalog.live_rows().tolist() == [1, 2, 3, 4]
        assert catalog.column_of_rows("category", rows(2)) == ["carpet"]


async def test_a_deleted_item_is_unknown_everywhere(tmp_path):
    """It has no row for ids and keys, is not rankable and not described; putting it again brings it back."""
    async with open_shop(tmp_path) as catalog:
        await catalog.put_items([NewItem("desk", "a desk")])
        assert await catalog.delete_items(["rug", "desk", "never was"]) == 2
        assert catalog.rows_of_ids(["rug", "desk"]).tolist() == [0, 0]
        assert catalog.rows_of_keys(keys_of(["rug", "desk"])).tolist() == [0, 0]
        assert catalog.live_rows().tolist() == [1, 3, 4]
        assert await catalog.describe_item("rug") is None
        assert await catalog.delete_items(["rug"]) == 0
        await catalog.put_items([NewItem("rug", "a rug")])
        assert catalog.rows_of_ids(["rug"]).tolist() == [2]


async def test_the_last_change_of_an_item_counts(tmp_path):
    """An item that is put twice in one call has the last text."""
    async with open_shop(tmp_path) as catalog:
        await catalog.put_items([NewItem("desk", "a desk"), NewItem("desk", "a better desk")])
        np.testing.assert_array_equal(
            catalog.vectors_of_rows(catalog.rows_of_ids(["desk"]))[0], vector_of("a better desk")
        )
        assert catalog.item_count == 5


async def test_a_store_that_refuses_leaves_everything_as_it_was(tmp_path):
    """What was not acknowledged is neither known nor rankable."""
    store = MemoryStore()
    async with open_shop(tmp_path, store=store) as catalog:
        store.down = True
        with pytest.raises(StorageUnavailable):
            await catalog.put_items([NewItem("desk", "a desk")])
        with pytest.raises(StorageUnavailable):
            await catalog.delete_items(["rug"])
        assert catalog.rows_of_ids(["desk", "rug"]).tolist() == [0, 2]


async def test_an_encoder_that_fails_stores_nothing(tmp_path):
    """No replica hears of an item that could not be encoded."""
    store, encoder = MemoryStore(), Encoder()
    async with open_shop(tmp_path, store=store, encoder=encoder) as catalog:
        encoder.broken = True
        with pytest.raises(ScoringFailed):
            await catalog.put_items([NewItem("desk", "a desk")])
    assert store.newest == 0


async def test_refresh_never_raises_and_does_not_ask_again_at_once(tmp_path, caplog):
    """A store that is down costs readers one question; ranking goes on with what is known."""
    store = MemoryStore()
    async with open_shop(tmp_path, store=store) as catalog:
        store.down = True
        asked = store.questions
        with caplog.at_level(logging.WARNING):
            for _ in range(5):
                await catalog.refresh(7)
        assert store.questions == asked + 1
        assert "could not catch up" in caplog.text
        assert catalog.item_count == 4


async def test_refresh_asks_only_for_a_newer_version(tmp_path):
    """A version that is known costs nothing."""
    store = MemoryStore()
    async with open_shop(tmp_path, store=store) as catalog:
        await catalog.put_items([NewItem("desk", "a desk")])
        asked = store.questions
        await catalog.refresh(1)
        await catalog.refresh(0)
        assert store.questions == asked


async def test_readers_share_one_refresh(tmp_path):
    """A hundred readers that learn of a new version at once ask the store once, also when one of them leaves."""
    store = MemoryStore()
    async with open_shop(tmp_path, store=store) as catalog:
        await store.store([StoredItem("desk", "a desk", {}, "ours", vector_of("a desk"))])
        asked = store.questions
        readers = [asyncio.create_task(catalog.refresh(1)) for _ in range(100)]
        await asyncio.sleep(0)
        readers[0].cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        assert store.questions == asked + 1
        assert catalog.rows_of_ids(["desk"]).tolist() == [5]


@pytest.mark.parametrize(
    "stored",
    [
        StoredItem("desk", "a desk", {}, "another encoder", vector_of("x")),
        StoredItem("desk", "a desk", {}, "ours", None),
        StoredItem("desk", "a desk", {}, "ours", np.zeros(7, np.float32)),
        StoredItem("desk", "a desk", {}, "ours", np.array([np.nan, 1], np.float32)),
    ],
)
async def test_a_stored_vector_that_does_not_fit_is_made_anew(tmp_path, stored):
    """Vectors of another encoder or width, missing or not finite ones are encoded from the text."""
    store = MemoryStore()
    await store.store([stored])
    async with open_shop(tmp_path, store=store) as catalog:
        np.testing.assert_array_equal(catalog.vectors_of_rows(catalog.rows_of_ids(["desk"]))[0], vector_of("a desk"))


async def test_a_text_without_an_item_gets_a_row(tmp_path):
    """Texts are encoded once, however often they come, and their rows are no items."""
    encoder = Encoder()
    async with open_shop(tmp_path, encoder=encoder) as catalog:
        first = await catalog.rows_of_texts(["a bed", "a bench", "a bed"])
        assert first.tolist() == [5, 6, 5]
        again = await catalog.rows_of_texts(["a bench", "a bed", "a shelf"])
        assert again.tolist() == [6, 5, 7]
        assert encoder.encoded == ["a bed", "a bench", "a shelf"]
        np.testing.assert_array_equal(catalog.vectors_of_rows(first)[1], vector_of("a bench"))
        assert catalog.prior_of_rows(first).tolist() == [-2.5] * 3
        assert catalog.ids_of_rows(first) == ["", "", ""]
        assert catalog.live_rows().tolist() == [1, 2, 3, 4]


async def test_a_row_that_is_used_again_is_not_the_old_item_any_more(tmp_path, monkeypatch):
    """A text that gets a deleted item's row has no id, and the neutral prior."""
    monkeypatch.setattr(vector_table, "QUARANTINE_S", 0.0)
    async with open_shop(tmp_path) as catalog:
        await catalog.put_items([NewItem("rug", "a red rug")])
        row = catalog.rows_of_ids(["rug"])
        await catalog.delete_items(["rug"])
        assert (await catalog.rows_of_texts(["a bed"])).tolist() == row.tolist()
        assert catalog.ids_of_rows(row) == [""]
        assert catalog.prior_of_rows(row).tolist() == [-2.5]


async def test_texts_beyond_the_spare_rows_are_refused(tmp_path):
    """When there is no row left the request is told, and known texts still work."""
    async with open_shop(tmp_path, spare_rows=2) as catalog:
        await catalog.rows_of_texts(["a bed", "a bench"])
        with pytest.raises(Overloaded, match="spare rows"):
            await catalog.rows_of_texts(["a shelf"])
        assert (await catalog.rows_of_texts(["a bed"])).tolist() == [5]


async def test_a_store_that_came_back_empty_is_followed(tmp_path):
    """The periodic question notices a store whose version fell, and the bundle's items are back."""
    store = MemoryStore()
    async with open_shop(tmp_path, store=store, check_every_s=0.005) as catalog:
        await catalog.put_items([NewItem("desk", "a desk"), NewItem("rug", "a red rug")])
        store.changes.clear()
        store.newest = 0
        async with asyncio.timeout(5):
            while catalog.version:  # noqa: ASYNC110 -- the catalogue's own task
                await asyncio.sleep(0.005)
        assert catalog.rows_of_ids(["desk", "rug"]).tolist() == [0, 2]
        assert catalog.column_of_rows("category", rows(2)) == ["floor"]


class DeafStore(MemoryStore):
    """Loses the first cancellation of whoever asks, as redis-py may."""

    def __init__(self):
        super().__init__()
        self.is_asked, self.is_deaf = asyncio.Event(), False

    async def epoch(self):
        """Wait for a cancellation once, and answer all the same."""
        if self.is_deaf:
            self.is_deaf = False
            self.is_asked.set()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)
        return await super().epoch()


async def test_a_lost_cancellation_does_not_keep_the_catalogue_open_for_ever(tmp_path):
    """The task that keeps up with the store ends with the catalogue."""
    store = DeafStore()
    async with asyncio.timeout(20), open_shop(tmp_path, store=store, check_every_s=0.001):
        store.is_deaf = True
        await store.is_asked.wait()
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "catalog-keep-up"]
