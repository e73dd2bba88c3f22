"""The item table under random changes, against a dictionary."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from app.catalog import vector_table
from app.catalog.bundle_items import BundleItems
from app.catalog.item_table import ItemChange, ItemTable
from app.catalog.vector_table import VectorTable
from app.contract.identity import keys_of
from tests.unit.app.catalog.small_shop import IDS, vector_of, write_shop

FOLDER = write_shop(Path(tempfile.mkdtemp(prefix="seqrank-test-")))
EVERYBODY = [*IDS, "desk", "bed"]

changes = st.builds(
    lambda item_id, text, deleted: ItemChange(
        item_id, text, {"category": text}, None if deleted else vector_of(text), deleted=deleted
    ),
    st.sampled_from(EVERYBODY),
    st.text("ab", max_size=4),
    st.booleans(),
)
steps = st.lists(st.one_of(st.lists(changes, min_size=1, max_size=4), st.just("start over")), max_size=30)


def check(table, known):
    """Compare every answer of the table with the dictionary ``id -> (vector, category)``."""
    rows = table.rows_of_ids(EVERYBODY)
    assert rows.tolist() == table.rows_of_keys(keys_of(EVERYBODY)).tolist()
    alive = [item_id for item_id, row in zip(EVERYBODY, rows.tolist(), strict=True) if row]
    assert set(alive) == set(known)
    rows = table.rows_of_ids(alive)
    assert sorted(rows.tolist()) == table.live_rows().tolist()
    assert table.ids_of_rows(rows) == alive
    assert table.column_of_rows("category", rows) == [known[item_id][1] for item_id in alive]
    np.testing.assert_array_equal(table.table[rows], np.reshape([known[item_id][0] for item_id in alive], (-1, 2)))


@settings(deadline=None)
@given(steps, st.booleans())
def test_the_table_answers_as_the_dictionary_does(steps, large):
    """Whatever is added, changed, deleted and forgotten, in whatever order, with rows used again at once."""
    items, now_s = BundleItems(FOLDER), [0.0]
    vectors = VectorTable(FOLDER / "item_table.npy", spare_rows=24, clock=lambda: now_s[0])
    table = ItemTable(items, vectors, on_table_changed=lambda *_: None, large_from=0 if large else 100)
    bundle = {
        item_id: (vector_of(f"a {item_id}") + 0.5, category)
        for item_id, category in zip(IDS, ["light", "floor", "seat", "decor"], strict=True)
    }
    known = dict(bundle)
    for step in steps:
        now_s[0] += vector_table.QUARANTINE_S
        if step == "start over":
            table.start_over()
            known = dict(bundle)
        else:
            table.apply(step)
            for change in step:
                known.pop(change.item_id, None)
                if not change.deleted:
                    known[change.item_id] = (change.vector_D, change.text)
        check(table, known)
