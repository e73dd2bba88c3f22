"""Prepared files as flat arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model_export.data.dataset import read_dataset
from model_export.data.interaction_table import SCHEMA
from model_export.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

ROWS = [
    ("b", "i2", "view", 10, None),
    ("a", "i1", "buy", 20, 4.5),
    ("b", "i3", "view", 20, None),
    ("b", "i1", "view", 20, 1.0),
    ("a", "i3", "buy", 30, None),
]


def _write(folder: Path, rows: list[tuple[Any, ...]], items: list[str], rows_a_group: int = 2) -> Path:
    columns = [pa.array(values, field.type) for values, field in zip(zip(*rows, strict=True), SCHEMA, strict=True)]
    events = pa.Table.from_arrays(columns, schema=SCHEMA)
    pq.write_table(events, folder / "interactions.parquet", row_group_size=rows_a_group)
    pq.write_table(pa.table({"item_id": items, "text": items}), folder / "items.parquet")
    return folder


@pytest.mark.parametrize("rows_a_group", [1, 2, 100])
def test_events_are_grouped_by_user_in_time_order(tmp_path: Path, rows_a_group: int) -> None:
    """Users stand in order of first appearance, ties in file order, however the file is cut into groups."""
    data = read_dataset(_write(tmp_path, ROWS, ["i1", "i2", "i3"], rows_a_group))
    assert data.user_ids == ["b", "a"]
    assert data.user_offsets.tolist() == [0, 3, 5]
    assert data.rows.tolist() == [2, 3, 1, 1, 3]
    assert data.timestamps_ms.tolist() == [10, 20, 20, 20, 30]
    assert data.actions == ("view", "buy")
    assert data.action_ids.tolist() == [0, 0, 0, 1, 1]
    np.testing.assert_array_equal(data.ratings, np.array([np.nan, np.nan, 1.0, 4.5, np.nan], np.float32))
    assert data.users_of_events().tolist() == [0, 0, 0, 1, 1]


def test_a_file_out_of_time_order_is_put_in_order(tmp_path: Path) -> None:
    """Readers do not rely on the writer's order."""
    data = read_dataset(_write(tmp_path, ROWS[::-1], ["i1", "i2", "i3"]))
    assert data.user_ids == ["a", "b"]
    assert data.rows.tolist() == [1, 3, 2, 1, 3]


def test_actions_are_numbered_by_frequency_then_name(tmp_path: Path) -> None:
    """The most frequent action is number 0; equally frequent ones go by name."""
    rows = [("u", "i1", action, 1, None) for action in ("c", "b", "a", "c")]
    assert read_dataset(_write(tmp_path, rows, ["i1"])).actions == ("c", "a", "b")


def test_an_unknown_item_is_refused_by_name(tmp_path: Path) -> None:
    """Interactions with items that items.parquet lacks are an error that names one."""
    with pytest.raises(DataError, match=r"names 2 items that items\.parquet lacks, expected none; the first is 'i2'"):
        read_dataset(_write(tmp_path, ROWS, ["i1"]))


def test_the_fingerprint_follows_the_files(tmp_path: Path) -> None:
    """The same files have the same fingerprint, other files another."""
    first = read_dataset(_write(tmp_path, ROWS, ["i1", "i2", "i3"])).fingerprint
    assert read_dataset(tmp_path).fingerprint == first
    assert read_dataset(_write(tmp_path, ROWS, ["i1", "i2", "i3", "i4"])).fingerprint != first


def test_a_folder_that_was_not_prepared_is_refused_by_name(tmp_path: Path) -> None:
    """A missing file is named, with the commands that write it."""
    with pytest.raises(DataError, match=r"has no items\.parquet, expected a folder that `prepare` or `simulate` wrote"):
        read_dataset(tmp_path)


def test_what_is_no_parquet_is_named(tmp_path):
    """A damaged file is a sentence, not a traceback."""
    (tmp_path / "items.parquet").write_bytes(b"nonsense")
    with pytest.raises(DataError, match=r"items\.parquet is no Parquet file"):
        read_dataset(tmp_path)
