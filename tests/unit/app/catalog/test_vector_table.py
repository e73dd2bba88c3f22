"""The mapped table with room behind it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.catalog.vector_table import QUARANTINE_S, VIEW_STEP, VectorTable
from app.errors import BundleError, Overloaded


def write_table(folder: Path, *, rows: int = 11, width: int = 6, dtype: type = np.float32) -> np.ndarray:
    """Write ``item_table.npy`` and return what is in it."""
    table = np.arange(rows * width, dtype=dtype).reshape(rows, width)
    table[0] = 0
    np.save(folder / "item_table.npy", table)
    return table


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("rows", [1, 11, 5000])
def test_it_holds_what_the_file_holds(tmp_path, dtype, rows):
    """The first view is the file's table: same values, dtype, C order, aligned for the graph."""
    expected = write_table(tmp_path, rows=rows, dtype=dtype)
    view = VectorTable(tmp_path / "item_table.npy", spare_rows=10).view
    np.testing.assert_array_equal(view, expected)
    assert view.dtype == dtype
    assert view.flags.c_contiguous
    assert view.ctypes.data % 64 == 0


def test_added_rows_follow_the_bundles(tmp_path):
    """New vectors get the next rows, one contiguous table with the old ones, and the file stays as it was."""
    expected = write_table(tmp_path)
    table = VectorTable(tmp_path / "item_table.npy", spare_rows=1000)
    old_view = table.view
    rows = table.add(np.full((3, 6), 7, np.float32))
    assert rows.tolist() == [11, 12, 13]
    assert table.view.flags.c_contiguous
    assert table.view.ctypes.data == old_view.ctypes.data
    assert len(table.view) == 11 + VIEW_STEP
    np.testing.assert_array_equal(table.view[:11], expected)
    assert (table.view[11:14] == 7).all()
    assert not table.view[14:].any()
    np.testing.assert_array_equal(np.load(tmp_path / "item_table.npy"), expected)


def test_a_float16_table_takes_float32_vectors(tmp_path):
    """Vectors are rounded to the table's dtype and read back as float32."""
    write_table(tmp_path, dtype=np.float16)
    table = VectorTable(tmp_path / "item_table.npy", spare_rows=10)
    rows = table.add(np.full((1, 6), 0.1, np.float32))
    vectors = table.vectors_of_rows(rows)
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, np.full((1, 6), np.float16(0.1), np.float32))


def test_a_full_table_refuses_and_writes_nothing(tmp_path):
    """More vectors than spare rows are refused in a sentence, and a smaller number still fits."""
    write_table(tmp_path)
    table = VectorTable(tmp_path / "item_table.npy", spare_rows=4)
    with pytest.raises(Overloaded, match="has 4 spare rows left, expected 5"):
        table.add(np.ones((5, 6), np.float32))
    assert table.add(np.ones((4, 6), np.float32)).tolist() == [11, 12, 13, 14]
    assert len(table.view) == 15


def test_freed_rows_are_used_again_after_a_quarantine(tmp_path):
    """A freed row keeps its vector while requests may read it; later it is given away, the bundle's rows never."""
    write_table(tmp_path)
    now_s = [0.0]
    table = VectorTable(tmp_path / "item_table.npy", spare_rows=2, clock=lambda: now_s[0])
    table.add(np.ones((2, 6), np.float32))
    table.release([12, 3])
    with pytest.raises(Overloaded):
        table.add(np.ones((1, 6), np.float32))
    now_s[0] = QUARANTINE_S
    assert table.add(np.ones((1, 6), np.float32)).tolist() == [12]
    with pytest.raises(Overloaded):
        table.add(np.ones((1, 6), np.float32))


def test_two_tables_of_one_file_do_not_see_each_others_rows(tmp_path):
    """Each process adds for itself."""
    expected = write_table(tmp_path)
    first = VectorTable(tmp_path / "item_table.npy", spare_rows=10)
    second = VectorTable(tmp_path / "item_table.npy", spare_rows=10)
    first.add(np.ones((1, 6), np.float32))
    np.testing.assert_array_equal(second.view, expected)
    assert second.add(np.full((1, 6), 2, np.float32)).tolist() == [11]
    assert first.view[11, 0] == 1


def test_spare_rows_cost_no_memory_until_they_are_used(tmp_path):
    """Room for a million wide rows is addresses only."""

    def resident_kib():
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    write_table(tmp_path, rows=11, width=256)
    before = resident_kib()
    table = VectorTable(tmp_path / "item_table.npy", spare_rows=1_000_000)
    table.add(np.ones((10, 256), np.float32))
    assert table.capacity == 1_000_011
    assert resident_kib() - before < 50_000


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (np.zeros((3, 2), np.int64), "int64"),
        (np.zeros(3, np.float32), r"float32\[3\]"),
        (np.asfortranarray(np.zeros((3, 2), np.float32)), "C order"),
        (np.zeros((0, 2), np.float32), "0 rows"),
    ],
)
def test_another_array_is_refused(tmp_path, content, sentence):
    """A table of the wrong dtype, rank, order or without rows is a `BundleError` that says so."""
    np.save(tmp_path / "item_table.npy", content)
    with pytest.raises(BundleError, match=sentence):
        VectorTable(tmp_path / "item_table.npy")


@pytest.mark.parametrize("content", [None, b"", b"nonsense", b"\x93NUMPY\x01\x00v\x00{'descr': '<f4'"])
def test_a_file_that_is_no_array_is_refused(tmp_path, content):
    """A missing, empty or damaged file is a `BundleError`."""
    if content is not None:
        (tmp_path / "item_table.npy").write_bytes(content)
    with pytest.raises(BundleError, match="cannot be mapped"):
        VectorTable(tmp_path / "item_table.npy")
