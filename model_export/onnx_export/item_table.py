"""Writes a bundle's items: the table of vectors and the Parquet file that says whose they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from app.contract.identity import keys_of
from app.contract.item_columns import ITEM_ID, ITEM_KEY, PRIOR
from app.contract.manifest import ITEM_TABLE_FILE, ITEMS_FILE
from model_export.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from app.contract.tensors import Float32Array

TABLE_DTYPES: Final[dict[str, type[np.floating[Any]]]] = {"fp32": np.float32, "fp16": np.float16, "int8": np.float32}
"""Dtype of the item table, and of what the ranker computes once for each event, in each precision.

INT8 keeps both in FP32: its scores are dot products with the table."""

ROW_GROUP_ITEMS: Final = 65_536
"""The service reads a text by its row group: small ones keep that cheap in a catalogue of a million."""


def write_item_table(bundle: Path, table_ND: Float32Array, precision: str) -> NDArray[Any]:
    """Write ``item_table.npy`` and return it as written.

    Args:
        bundle: The draft.
        table_ND: ``float32[N + 1, D]`` item vectors, row 0 zeros.
        precision: Decides the dtype.

    Raises:
        ExportError: If row 0 is not zero, or a value is not finite in the dtype; it names the first such row.
    """
    if table_ND[0].any():
        raise ExportError("row 0 of the item table is padding and must be zeros")
    with np.errstate(over="ignore"):
        table = np.ascontiguousarray(table_ND, dtype=TABLE_DTYPES[precision])
    broken = np.flatnonzero(~np.isfinite(table).all(axis=1))
    if len(broken):
        raise ExportError(f"row {broken[0]} of the item table is not finite in {table.dtype} ({len(broken)} such rows)")
    np.save(bundle / ITEM_TABLE_FILE, table, allow_pickle=False)
    return table


def write_items(bundle: Path, items: pa.Table, prior_N: Float32Array) -> None:
    """Write ``items.parquet``: the columns of ``items`` with ``prior`` and ``item_key`` beside them.

    Args:
        bundle: The draft.
        items: ``item_id``, ``text`` and columns to show, in row order.
        prior_N: ``float32[N]`` log-popularity, higher is more popular.

    Raises:
        ExportError: If an id occurs twice, two ids have the same 64-bit key, or a prior is not finite.
    """
    ids: Sequence[str] = items.column(ITEM_ID).to_pylist()
    if len(set(ids)) != len(ids):
        raise ExportError("an item id occurs twice in the items")
    keys = keys_of(ids)
    if len(np.unique(keys)) != len(keys):
        raise ExportError("two item ids have the same 64-bit key")
    if not np.isfinite(prior_N).all():
        raise ExportError("an item's prior is not finite")
    for name in (PRIOR, ITEM_KEY):
        if name in items.column_names:
            items = items.drop_columns([name])
    items = items.append_column(PRIOR, pa.array(prior_N, pa.float32()))
    items = items.append_column(ITEM_KEY, pa.array(keys, pa.uint64()))
    items = items.replace_schema_metadata(None)
    pq.write_table(items, bundle / ITEMS_FILE, compression="zstd", row_group_size=ROW_GROUP_ITEMS)
