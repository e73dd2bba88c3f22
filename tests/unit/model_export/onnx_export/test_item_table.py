"""Items that could not be served are not written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.contract.identity import key_of
from model_export.errors import ExportError
from model_export.onnx_export.item_table import write_item_table, write_items

if TYPE_CHECKING:
    from pathlib import Path


def test_half_precision_is_written_as_float16(tmp_path: Path) -> None:
    """An fp16 bundle's table takes half the memory."""
    table = np.zeros((3, 4), np.float32)
    assert write_item_table(tmp_path, table, "fp16").dtype == np.float16
    assert np.load(tmp_path / "item_table.npy").dtype == np.float16


def test_a_vector_that_overflows_half_precision_is_named_by_row(tmp_path: Path) -> None:
    """100,000 is finite in float32 and infinite in float16."""
    table = np.zeros((4, 2), np.float32)
    table[2, 1] = 1e5
    write_item_table(tmp_path, table, "fp32")
    with pytest.raises(ExportError, match=r"row 2 of the item table is not finite in float16 \(1 such rows\)"):
        write_item_table(tmp_path, table, "fp16")


def test_row_0_must_be_zeros(tmp_path: Path) -> None:
    """Row 0 is padding everywhere."""
    with pytest.raises(ExportError, match="row 0"):
        write_item_table(tmp_path, np.ones((2, 2), np.float32), "fp32")


def test_items_carry_key_and_prior(tmp_path: Path) -> None:
    """The columns that the service needs are beside those of the data."""
    items = pa.table({"item_id": ["a", "b"], "text": ["x", "y"], "title": ["X", "Y"]})
    write_items(tmp_path, items, np.array([0.5, 1.5], np.float32))
    read = pq.read_table(tmp_path / "items.parquet")
    assert read.column_names == ["item_id", "text", "title", "prior", "item_key"]
    assert read.column("item_key").to_pylist() == [key_of("a"), key_of("b")]


def test_an_id_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    """An id stands for one row."""
    items = pa.table({"item_id": ["a", "a"], "text": ["x", "y"]})
    with pytest.raises(ExportError, match="occurs twice"):
        write_items(tmp_path, items, np.zeros(2, np.float32))


def test_a_prior_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    """The fallback sorts by the prior."""
    items = pa.table({"item_id": ["a"], "text": ["x"]})
    with pytest.raises(ExportError, match="prior is not finite"):
        write_items(tmp_path, items, np.array([np.nan], np.float32))
