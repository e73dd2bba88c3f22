"""Rows that are added travel alone, and a ranker that keeps its table on a device scores as any other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest

from app.contract.encoding import EncodedHistory, pack_histories
from app.contract.tensors import RankingBatch
from app.inference import resident_table
from app.inference.onnx_ranker import OnnxRanker
from app.inference.provider import CPU_PROVIDER, Provider, obtain_provider
from app.inference.resident_table import ResidentTable

if TYPE_CHECKING:
    from pathlib import Path

    from app.contract.tensors import HistoryBatch

DEVICE = Provider("cuda", "the CPU stands for a device", ((CPU_PROVIDER, {}),))


def table_of(rows: int, dtype: Any = np.float32) -> Any:
    """Return a table whose every number is another."""
    return np.arange(rows * 3, dtype=dtype).reshape(rows, 3)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_written_rows_and_no_others_are_copied(dtype: Any) -> None:
    """Rows in blocks and alone, in any order."""
    before, after = table_of(12, dtype), table_of(12, dtype) + dtype(100)
    resident = ResidentTable(before[:10], DEVICE)
    rows = np.array([11, 4, 3, 8, 10])
    resident.write(after, rows)
    expected = before.copy()
    expected[rows] = after[rows]
    np.testing.assert_array_equal(resident.value.numpy()[:12], expected)
    assert not resident.value.numpy()[12:].any()


def test_no_row_is_no_copy() -> None:
    """A table that nothing was written to stays as it is."""
    resident = ResidentTable(table_of(4), DEVICE)
    resident.write(table_of(4) + 1, np.empty(0, np.int64))
    np.testing.assert_array_equal(resident.value.numpy()[:4], table_of(4))


def test_the_graph_that_copies_is_a_copy() -> None:
    """Its bytes are one node that gives what it takes."""
    model = onnx.load_model_from_string(resident_table._COPY_OF_BYTES)
    onnx.checker.check_model(model)
    assert [node.op_type for node in model.graph.node] == ["Identity"]


def history() -> HistoryBatch:
    """Return one history of clicks."""
    return pack_histories([EncodedHistory(np.array([4, 8]), np.zeros(2, np.int64), np.array([90.0, 5.0], np.float32))])


def test_added_rows_score_as_in_a_table_that_is_bound(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Candidates and whole catalogue, before rows are added, within the room, and beyond it; golden tables stay."""
    monkeypatch.setattr(resident_table, "ROOM", 4)
    table = np.load(tiny_bundle / "item_table.npy")
    bound = OnnxRanker(tiny_bundle, table, provider=obtain_provider("cpu"))
    resident = OnnxRanker(tiny_bundle, table, provider=DEVICE)
    published = resident.pinned()
    first = published.score_catalog(history())
    grown = np.concatenate([table, table[5:8] + 0.25, table[9:15] - 0.25])
    for rows in (201, 204, 210):
        written = np.arange(resident.row_count, rows)
        bound.use_item_table(grown[:rows])
        resident.use_item_table(grown[:rows], written)
        batch = RankingBatch(history(), np.arange(rows - 20, rows)[None])
        np.testing.assert_array_equal(resident.score(batch), bound.score(batch))
        np.testing.assert_allclose(resident.score_catalog(history()), bound.score_catalog(history()), atol=1e-5)
    assert (resident.row_count, published.row_count) == (210, 201)
    np.testing.assert_array_equal(published.score_catalog(history()), first)
