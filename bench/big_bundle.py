"""A bundle stretched to any number of items, for measurements: the model and the golden requests stay as they are."""

from __future__ import annotations

import hashlib
import json
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from app.contract.identity import keys_of
from app.contract.manifest import ITEM_TABLE_FILE, ITEMS_FILE, MANIFEST_FILE

if TYPE_CHECKING:
    from pathlib import Path


def stretch_bundle(bundle: Path, folder: Path, items: int, *, seed: int = 7) -> Path:
    """Copy ``bundle`` to ``folder`` with ``items`` items; the added ones are noisy copies of real vectors.

    Args:
        bundle: A bundle with fewer items.
        folder: Where the copy goes; removed first.
        items: N of the copy.
        seed: Of the noise.
    """
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(bundle, folder)
    random = np.random.default_rng(seed)
    table = np.load(bundle / ITEM_TABLE_FILE)
    known = len(table) - 1
    stretched = np.empty((items + 1, table.shape[1]), table.dtype)
    stretched[: known + 1] = table
    for start in range(known + 1, items + 1, 65_536):
        end = min(start + 65_536, items + 1)
        picked = table[random.integers(1, known + 1, end - start)]
        noise = random.normal(0.0, 0.05, picked.shape).astype(table.dtype)
        stretched[start:end] = picked + noise
    np.save(folder / ITEM_TABLE_FILE, stretched)
    _stretch_items(folder / ITEMS_FILE, items)
    manifest = json.loads((folder / MANIFEST_FILE).read_text("utf-8"))
    manifest["item_count"] = items
    for name in (ITEM_TABLE_FILE, ITEMS_FILE):
        content = (folder / name).read_bytes()
        manifest["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest, indent=2), "utf-8")
    return folder


def _stretch_items(path: Path, items: int) -> None:
    known = pq.read_table(path)
    added = items - known.num_rows
    repeats = known.take(pa.array(np.arange(added) % known.num_rows))
    ids = [f"stretched-{number}" for number in range(added)]
    repeats = repeats.set_column(repeats.schema.get_field_index("item_id"), "item_id", pa.array(ids))
    if "item_key" in repeats.column_names:
        keys = pa.array(keys_of(ids))
        repeats = repeats.set_column(repeats.schema.get_field_index("item_key"), "item_key", keys)
    pq.write_table(pa.concat_tables([known, repeats.cast(known.schema)]), path, row_group_size=65_536)
