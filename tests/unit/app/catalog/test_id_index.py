"""Ids and rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from app.catalog.id_index import IdIndex
from app.contract.identity import key_of, keys_of
from app.errors import BundleError

IDS = [f"item-{number}" for number in range(1, 101)] + ["", "ünï", "x" * 300]


@pytest.fixture(params=["small", "large"])
def index(request):
    """Return an index that works by dictionary, and one that works by sorted keys."""
    return IdIndex(pa.array(IDS), keys_of(IDS), large_from=10**9 if request.param == "small" else 0)


def test_ids_lead_to_their_rows_and_back(index):
    """Every id has the row of its position, and every row its id."""
    rows = index.rows_of_ids(IDS)
    assert rows.tolist() == list(range(1, 104))
    assert rows.dtype == np.int64
    assert index.ids_of_rows(rows) == IDS
    assert index.rows_of_keys(keys_of(IDS)).tolist() == rows.tolist()


def test_unknown_ids_have_row_0(index):
    """Unknown ids and keys lead to padding, wherever they stand."""
    assert index.rows_of_ids(["nope", "item-2", "item-0"]).tolist() == [0, 2, 0]
    assert index.rows_of_keys(np.array([0, 2**64 - 1, key_of("item-2")], np.uint64)).tolist() == [0, 0, 2]
    assert index.rows_of_ids([]).tolist() == []
    assert index.row_of("nope") == 0


def test_a_change_moves_an_id_for_ids_and_keys_alike(index):
    """A moved id leads to its new row, a deleted one to none, a new one to its own; the bundle's row stays known."""
    index.change("item-3", 200)
    index.change("item-4", 0)
    index.change("brand new", 201)
    ids = ["item-3", "item-4", "brand new", "item-5"]
    assert index.rows_of_ids(ids).tolist() == [200, 0, 201, 5]
    assert index.rows_of_keys(keys_of(ids)).tolist() == [200, 0, 201, 5]
    assert index.bundle_row_of("item-3") == 3
    assert index.bundle_row_of("brand new") == 0
    assert index.ids_of_rows(np.array([200, 201, 3, 5])) == ["item-3", "brand new", "item-3", "item-5"]


def test_rows_without_an_item_have_no_id(index):
    """Padding and rows that never had an item give the empty text."""
    assert index.ids_of_rows(np.array([0, 5000, 1])) == ["", "", "item-1"]


def test_forgetting_changes_restores_the_bundle(index):
    """After `forget_changes` every id leads where the bundle says."""
    index.change("item-3", 200)
    index.change("item-4", 0)
    index.forget_changes()
    assert index.rows_of_ids(["item-3", "item-4"]).tolist() == [3, 4]
    assert index.rows_of_keys(keys_of(["item-3", "item-4"])).tolist() == [3, 4]


def test_two_ids_with_one_key_are_refused():
    """A bundle that names an item twice is not opened."""
    with pytest.raises(BundleError, match="the same"):
        IdIndex(pa.array(["a", "b", "a"]), keys_of(["a", "b", "a"]))


@pytest.mark.parametrize("large_from", [0, 10])
def test_a_catalogue_without_items_knows_nobody(large_from):
    """An empty bundle answers like any other."""
    empty = IdIndex(pa.array([], pa.string()), np.empty(0, np.uint64), large_from=large_from)
    assert empty.rows_of_ids(["a"]).tolist() == [0]
    assert empty.rows_of_keys(np.array([1], np.uint64)).tolist() == [0]
