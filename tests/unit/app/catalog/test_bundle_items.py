"""Reading a bundle's items."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.catalog import bundle_items
from app.catalog.bundle_items import BundleItems
from app.contract.identity import keys_of
from app.errors import BundleError


def write_items(folder, **changes):
    """Write an ``items.parquet`` of three items."""
    columns = {
        "item_id": ["a", "b", "c"],
        "text": ["text a", "text b", None],
        "category": ["shoes", None, "shoes"],
        "tags": [["x", "y"], [], None],
        "year": [1999, None, 2001],
        "prior": pa.array([-1.0, -2.0, -3.0], pa.float32()),
        "item_key": keys_of(["a", "b", "c"]),
    } | changes
    pq.write_table(
        pa.table({name: values for name, values in columns.items() if values is not None}), folder / "items.parquet"
    )
    return folder


def test_ids_keys_and_priors_are_there_at_once(tmp_path):
    """What ranking needs is read at the start."""
    items = BundleItems(write_items(tmp_path))
    assert len(items) == 3
    assert items.ids.to_pylist() == ["a", "b", "c"]
    assert items.keys.tolist() == keys_of(["a", "b", "c"]).tolist()
    assert (items.priors.tolist(), items.priors.dtype) == ([-1.0, -2.0, -3.0], np.float32)
    assert items.columns == ("category", "tags", "year")


@pytest.mark.parametrize("few_values", [0, 10])
@pytest.mark.parametrize("preloaded", [False, True])
def test_a_column_gives_its_values_by_row(tmp_path, monkeypatch, few_values, preloaded):
    """Padding, missing values and unknown columns are the empty text, however many distinct values there are."""
    monkeypatch.setattr(bundle_items, "FEW_VALUES", few_values)
    items = BundleItems(write_items(tmp_path))
    if preloaded:
        items.preload()
    rows = np.array([0, 3, 2, 1])
    assert items.values_of("category", rows) == ["", "shoes", "", "shoes"]
    assert items.values_of("year", rows) == ["", "2001", "", "1999"]
    assert items.values_of("tags", rows) == ["", "", "[]", "['x', 'y']"]
    assert items.values_of("colour", rows) == ["", "", "", ""]


def test_rows_are_found_in_a_file_of_many_row_groups(tmp_path):
    """Texts come from the right row group, in the order asked for, also twice."""
    ids = [f"item-{number}" for number in range(10)]
    columns = {"item_id": ids, "text": [f"text {number}" for number in range(10)], "item_key": keys_of(ids)}
    table = pa.table(columns | {"prior": pa.array([0.0] * 10, pa.float32())})
    pq.write_table(table, tmp_path / "items.parquet", row_group_size=3)
    assert BundleItems(tmp_path).texts_of([10, 1, 4, 1]) == ["text 9", "text 0", "text 3", "text 0"]


def test_a_row_is_described_by_its_text_and_columns(tmp_path):
    """Text and columns of a row are read from the file, missing ones left out."""
    items = BundleItems(write_items(tmp_path))
    assert items.describe(1) == ("text a", {"category": "shoes", "tags": "['x', 'y']", "year": "1999"})
    assert items.describe(3) == ("", {"category": "shoes", "year": "2001"})
    assert items.texts_of([3, 1]) == ["", "text a"]
    assert items.texts_of([]) == []


@pytest.mark.parametrize("missing", ["item_id", "prior", "item_key"])
def test_a_missing_column_is_refused(tmp_path, missing):
    """A file without a column that ranking needs is a `BundleError`."""
    with pytest.raises(BundleError, match=r"items.parquet"):
        BundleItems(write_items(tmp_path, **{missing: None}))


@pytest.mark.parametrize("content", [None, b"", b"nonsense"])
def test_a_file_that_is_no_parquet_is_refused(tmp_path, content):
    """A missing, empty or damaged file is a `BundleError`."""
    if content is not None:
        (tmp_path / "items.parquet").write_bytes(content)
    with pytest.raises(BundleError, match="cannot be read"):
        BundleItems(tmp_path)
