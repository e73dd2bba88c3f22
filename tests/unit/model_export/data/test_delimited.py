"""Streaming of delimited text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from model_export.data.bad_rows import BadRows
from model_export.data.readers import delimited
from model_export.data.readers.delimited import Layout, read_delimited

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("delimiter", [",", "::"])
def test_lines_are_right_across_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, delimiter: str) -> None:
    """However the file is cut into blocks, every row has its line and its values, bad and blank ones left out."""
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 256)
    rows = [delimiter.join([f"user{n}", str(n)]) for n in range(1, 1001)]
    rows[499], rows[700] = "only one field", ""
    path = tmp_path / "x.csv"
    path.write_text("\n".join(rows))
    bad_rows = BadRows()
    layout = Layout(delimiter=delimiter, quoted=False, names=("name", "number"))
    found = {}
    for batch in read_delimited(path, layout, bad_rows):
        found.update(zip(batch.lines.tolist(), batch.columns["number"].to_pylist(), strict=True))
    assert found == {n: str(n) for n in range(1, 1001) if n not in {500, 701}}
    assert bad_rows.examples == ["x.csv line 500: 1 fields, expected 2: 'only one field'"]
