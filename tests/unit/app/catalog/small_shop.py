"""A bundle's items and a store of changes, small and without ONNX or Redis."""

from __future__ import annotations

from contextlib import asynccontextmanager

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from app.catalog.online_catalog import open_catalog
from app.contract.identity import keys_of
from app.contract.online_items import StoredItem
from app.errors import ScoringFailed, StorageUnavailable

IDS = ["lamp", "rug", "sofa", "vase"]
WIDTH = 2


def vector_of(text):
    """Return the vector that the encoder makes of a text."""
    return np.array([len(text), sum(map(ord, text)) % 97], np.float32)


def write_shop(folder):
    """Write the two files of a bundle that a catalogue reads; the table holds more than the encoder knows."""
    texts = [f"a {item_id}" for item_id in IDS]
    table = np.zeros((len(IDS) + 1, WIDTH), np.float32)
    table[1:] = [vector_of(text) + 0.5 for text in texts]
    np.save(folder / "item_table.npy", table)
    items = {
        "item_id": IDS,
        "text": texts,
        "category": ["light", "floor", "seat", "decor"],
        "prior": pa.array([-1.0, -2.0, -3.0, -8.0], pa.float32()),
        "item_key": keys_of(IDS),
    }
    pq.write_table(pa.table(items), folder / "items.parquet")
    return folder


class Encoder:
    """Encodes by `vector_of`; fails when told."""

    def __init__(self):
        self.encoded = []
        self.broken = False

    def encode(self, texts):
        """Return ``float32[N, 2]``."""
        if self.broken:
            raise ScoringFailed("the encoder is broken")
        self.encoded += texts
        return np.array([vector_of(text) for text in texts], np.float32)


class MemoryStore:
    """Keeps changes in memory, as Redis would; fails when told."""

    def __init__(self):
        self.changes = {}
        self.newest = 0
        self.life = 1
        self.down = False
        self.questions = 0

    async def store(self, items):
        """Give each change a version."""
        self._require_up()
        for item in items:
            self.newest += 1
            self.changes[item.item_id] = StoredItem(
                item.item_id, item.text, item.columns, item.encoder, item.vector_D, item.deleted, self.newest
            )
        return self.newest

    async def version(self):
        """Return the newest version."""
        self._require_up()
        return self.newest

    async def epoch(self):
        """Return another name after `lose`; the first thing that who wants to catch up asks."""
        self.questions += 1
        self._require_up()
        return f"life {self.life}"

    def lose(self):
        """Come back empty."""
        self.changes.clear()
        self.newest = 0
        self.life += 1

    async def changes_since(self, version):
        """Return what is newer."""
        self._require_up()
        newer = sorted((c for c in self.changes.values() if c.version > version), key=lambda change: change.version)
        return newer, max([version, *(change.version for change in newer)])

    def _require_up(self):
        if self.down:
            raise StorageUnavailable("the store is down")


@asynccontextmanager
async def open_shop(folder, *, store=None, encoder=None, tables=None, check_every_s=60.0, spare_rows=1000):
    """Open a catalogue of the shop; every table that it publishes is put into ``tables``."""
    async with open_catalog(
        write_shop(folder),
        encoder=encoder or Encoder(),
        encoder_name="ours",
        store=store or MemoryStore(),
        on_table_changed=lambda table, _: None if tables is None else tables.append(table),
        check_every_s=check_every_s,
        spare_rows=spare_rows,
    ) as catalog:
        yield catalog
