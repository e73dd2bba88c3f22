"""The catalogue as the service uses it: the item table, kept in step with the changes that all replicas share."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from app.catalog.bundle_items import BundleItems
from app.catalog.encoding_line import EncodingLine, ItemEncoder
from app.catalog.item_table import ItemChange, ItemTable
from app.catalog.vector_table import VectorTable
from app.contract.manifest import ITEM_TABLE_FILE
from app.contract.online_items import ItemDescription, StoredItem
from app.errors import SeqrankError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from app.catalog.item_store import OnlineItemStore
    from app.catalog.vector_table import FloatTable
    from app.contract.online_items import NewItem
    from app.contract.tensors import Float32Array, Int64Array

RETRY_AFTER_S: Final = 0.25
"""After a failed attempt readers do not try again for so long."""

NEWEST: Final = 1 << 62
"""Beyond every version: asks the store in any case."""

logger = logging.getLogger(__name__)


class OnlineCatalog(ItemTable):
    """Satisfies `app.ranking.ports.ItemCatalog` and `app.ranking.ports.ItemEditor`.

    Args:
        items: The bundle's items.
        vectors: The table.
        line: Encodes texts.
        store: Keeps the changes.
        encoder_name: Names the item encoder; a stored vector of another encoder is not used, its text is encoded.
        on_table_changed: Called with the table and the rows whenever rows were written.
    """

    def __init__(
        self,
        items: BundleItems,
        vectors: VectorTable,
        *,
        line: EncodingLine,
        store: OnlineItemStore,
        encoder_name: str,
        on_table_changed: Callable[[FloatTable, Int64Array], None],
    ) -> None:
        super().__init__(items, vectors, on_table_changed=on_table_changed)
        self._line = line
        self._store = store
        self._encoder_name = encoder_name
        self._version = 0
        self._epoch = ""
        self._left_out: list[ItemChange] = []
        self._catching_up: asyncio.Task[None] | None = None
        self._retry_at_s = 0.0

    @property
    def version(self) -> int:
        """The stored version of online items that this replica knows."""
        return self._version

    async def refresh(self, stored_version: int) -> None:
        """Catch up with items that other replicas changed, if ``stored_version`` is newer than ours.

        It never raises: what cannot be had now is had later. Concurrent callers share one attempt, which goes on when
        one of them leaves.
        """
        if stored_version > self._version and time.monotonic() >= self._retry_at_s:
            with contextlib.suppress(SeqrankError):
                await self._catch_up()

    async def rows_of_texts(self, texts: Sequence[str]) -> Int64Array:
        """Return ``int64[n]`` rows for texts that belong to no item; those not used for longest are forgotten.

        What was encoded when a caller leaves is remembered, so that many texts are known after a few tries.

        Raises:
            Overloaded: If the encoder's line is full or the table has no spare rows.
            ScoringFailed: If the encoder failed.
        """
        missing = self._text_rows.missing(texts)
        if not missing:
            return self._text_rows.rows_of(texts)
        known = list(set(texts).difference(missing))
        # others may be remembered in their place meanwhile; their rows outlive this request
        row_of_text = dict(zip(known, self._text_rows.rows_of(known).tolist(), strict=True))

        def keep(encoded: list[str], vectors: Float32Array) -> None:
            rows = self._add_rows(vectors)
            row_of_text.update(zip(encoded, rows.tolist(), strict=True))
            self._vectors.release(self._text_rows.remember(encoded, rows))

        await self._line.encode(missing, keep=keep)
        return np.asarray([row_of_text[text] for text in texts], np.int64)

    async def put_items(self, items: Sequence[NewItem]) -> int:
        """Encode, store and publish items, all or none; return the catalogue version from which on they rank.

        Raises:
            Overloaded: If the encoder's line is full or the table has too few spare rows. Nothing was stored.
            ScoringFailed: If the encoder failed. Nothing was stored.
            StorageUnavailable: If the store did not acknowledge.
        """
        if not items:
            return self._version
        self._vectors.require_room(len(items))
        vectors = await self._line.encode([item.text for item in items])
        version = await self._store.store(
            [
                StoredItem(item.item_id, item.text, item.columns, self._encoder_name, vector)
                for item, vector in zip(items, vectors, strict=True)
            ]
        )
        await self._catch_up_to(version)
        return version

    async def delete_items(self, item_ids: Sequence[str]) -> int:
        """Make items unknown everywhere; return how many were known.

        Raises:
            StorageUnavailable: If the store did not acknowledge.
        """
        await self._catch_up()
        rows = self.rows_of_ids(item_ids)
        known = [item_id for item_id, row in zip(item_ids, rows.tolist(), strict=True) if row]
        if not known:
            return 0
        version = await self._store.store(
            [StoredItem(item_id, "", {}, self._encoder_name, None, deleted=True) for item_id in known]
        )
        await self._catch_up_to(version)
        return len(known)

    async def describe_item(self, item_id: str) -> ItemDescription | None:
        """Return what is known of an item, or None if it is unknown or deleted; another replica may have changed it."""
        await self.refresh(NEWEST)
        row = self._index.row_of(item_id)
        if not row:
            return None
        bundle_row = self._index.bundle_row_of(item_id)
        text, columns = "", dict[str, str]()
        if bundle_row:
            text, columns = await asyncio.to_thread(self._items.describe, bundle_row)
        change = self._changes.get(item_id)
        if change is not None:
            text, columns = change.text, columns | change.columns
        return ItemDescription(item_id, text, columns, float(self._priors[row]), online=change is not None)

    async def keep_up(self, *, every_s: float) -> None:
        """Ask the store for changes for ever; for changes that no history read has told of."""
        while True:
            await asyncio.sleep(every_s)
            with contextlib.suppress(SeqrankError):
                stored = await self._store.epoch(), await self._store.version()
                if stored != (self._epoch, self._version) or self._left_out:
                    await self.refresh(NEWEST)

    async def _catch_up_to(self, version: int) -> None:
        """Catch up; twice where the first attempt was under way before the change was stored."""
        await self._catch_up()
        if self._version < version:
            await self._catch_up()

    async def _catch_up(self) -> None:
        if self._catching_up is None:
            self._catching_up = asyncio.create_task(self._apply_changes(), name="catalog-catch-up")
            self._catching_up.add_done_callback(self._caught_up)
        await asyncio.shield(self._catching_up)

    def _caught_up(self, task: asyncio.Task[None]) -> None:
        self._catching_up = None
        if not task.cancelled() and task.exception() is not None:
            self._retry_at_s = time.monotonic() + RETRY_AFTER_S
            logger.warning("the catalogue could not catch up: %s", task.exception())

    async def _apply_changes(self) -> None:
        await self._notice_another_store()
        stored, reached = await self._store.changes_since(self._version)
        bundle_texts = await self._bundle_texts_of([item.item_id for item in stored if not item.deleted])
        restored = {item.item_id for item in stored if bundle_texts.get(item.item_id) == item.text}
        to_encode = [item for item in stored if item.item_id not in restored and not self._has_vector(item)]
        vectors = {item.item_id: item.vector_D for item in stored if item.item_id not in restored}
        if to_encode:
            encoded = await self._line.encode([item.text for item in to_encode])
            vectors |= zip((item.item_id for item in to_encode), encoded, strict=True)
        changes = [
            ItemChange(item.item_id, item.text, item.columns, vectors.get(item.item_id), deleted=item.deleted)
            for item in stored
        ]
        self._left_out = self.apply([*self._left_out, *changes])
        if self._left_out and stored:
            logger.error("no spare rows for %d items: publish a bundle, or set more spare rows", len(self._left_out))
        self._version = max(self._version, reached)

    async def _notice_another_store(self) -> None:
        """Forget what the store told if it has lost it since: its versions begin anew and say nothing beside ours."""
        epoch, version = await self._store.epoch(), await self._store.version()
        if version < self._version or epoch != self._epoch:
            if self._version:
                logger.warning(
                    "the store lost the items that were changed: it is at %d, ours %d", version, self._version
                )
                self.start_over()
                self._left_out = []
            self._version, self._epoch = 0, epoch

    async def _bundle_texts_of(self, item_ids: list[str]) -> dict[str, str]:
        """Return the bundle's texts of those ids that it has."""
        rows = {item_id: self._index.bundle_row_of(item_id) for item_id in item_ids}
        known = {item_id: row for item_id, row in rows.items() if row}
        if not known:
            return {}
        texts = await asyncio.to_thread(self._items.texts_of, list(known.values()))
        return dict(zip(known, texts, strict=True))

    def _has_vector(self, item: StoredItem) -> bool:
        """Tell whether the change needs no encoding here."""
        if item.deleted:
            return True
        vector = item.vector_D
        return (
            vector is not None
            and item.encoder == self._encoder_name
            and vector.shape == (self._vectors.width,)
            and bool(np.isfinite(vector).all())
        )


@asynccontextmanager
async def open_catalog(
    bundle: Path,
    *,
    encoder: ItemEncoder,
    encoder_name: str,
    store: OnlineItemStore,
    on_table_changed: Callable[[FloatTable, Int64Array], None],
    spare_rows: int = 65_536,
    check_every_s: float = 1.0,
) -> AsyncIterator[OnlineCatalog]:
    """Open a bundle's items, catch up with the store if it answers, and keep up from then on.

    ``on_table_changed`` is called once at the start, with the bundle's table to serve from and no rows.

    Args:
        bundle: The bundle folder.
        encoder: Called in a thread of its own.
        encoder_name: The bundle's version.
        store: Keeps the changes.
        on_table_changed: Called with ``[rows, D]`` and ``int64[n]``, the rows that were written since the last call; it
            must not keep the event loop waiting.
        spare_rows: How many items and texts may be added.
        check_every_s: How often the store is asked for changes.

    Raises:
        BundleError: If a file cannot be read or does not fit the others.
    """
    items, vectors = await asyncio.gather(
        asyncio.to_thread(BundleItems, bundle),
        asyncio.to_thread(partial(VectorTable, bundle / ITEM_TABLE_FILE, spare_rows=spare_rows)),
    )
    async with EncodingLine(encoder) as line:
        build = partial(OnlineCatalog, line=line, store=store, encoder_name=encoder_name)
        catalog = await asyncio.to_thread(build, items, vectors, on_table_changed=on_table_changed)
        on_table_changed(catalog.table, np.empty(0, np.int64))
        await catalog.refresh(NEWEST)
        async with _background(items, catalog, check_every_s=check_every_s):
            yield catalog


@asynccontextmanager
async def _background(items: BundleItems, catalog: OnlineCatalog, *, check_every_s: float) -> AsyncIterator[None]:
    """Own the tasks that keep the catalogue in step and read its columns."""
    preloading = asyncio.create_task(asyncio.to_thread(items.preload), name="catalog-preload")
    follower = asyncio.create_task(catalog.keep_up(every_s=check_every_s), name="catalog-keep-up")
    try:
        yield
    finally:
        # `asyncio.wait_for` of Python 3.11, which redis-py sends with, loses a cancellation at the moment it is done
        while not follower.done():
            follower.cancel()
            await asyncio.wait([follower], timeout=0.1)
        await asyncio.gather(follower, preloading, return_exceptions=True)
