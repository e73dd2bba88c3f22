"""A bundle's items with what changed online."""

from __future__ import annotations

import pyarrow as pa

from app.contract.online_items import StoredItem
from model_export.collecting.current_items import current_items

ITEMS = pa.table({"item_id": ["a"], "text": ["lamp"], "year": pa.array([1990], pa.int64())})


def test_values_that_fit_no_column_are_counted():
    """A number is a number again; what is none becomes null, an unknown column goes, and both are told."""
    changes = [
        StoredItem("a", "red lamp", {"year": "1991", "size": "9"}, "encoder", None),
        StoredItem("b", "desk", {"year": "soon"}, "encoder", None),
    ]
    found = current_items(ITEMS, changes)
    assert found.table.to_pylist() == [
        {"item_id": "a", "text": "red lamp", "year": 1991},
        {"item_id": "b", "text": "desk", "year": None},
    ]
    assert (found.added, found.changed, found.left_out) == (1, 1, 2)
