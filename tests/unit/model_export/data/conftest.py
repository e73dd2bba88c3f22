"""Fixtures of the data tests: raw files in, prepared folder out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow.parquet as pq
import pytest

from model_export.__main__ import main

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Prepared:
    """What one call of ``prepare`` left behind."""

    code: int
    said: str
    folder: Path

    def interactions(self) -> list[dict[str, Any]]:
        """Return the rows of interactions.parquet."""
        return pq.read_table(self.folder / "interactions.parquet").to_pylist()

    def events(self) -> list[tuple[str, str, int]]:
        """Return user, item and time of every interaction."""
        return [(row["user_id"], row["item_id"], row["timestamp"]) for row in self.interactions()]

    def items(self) -> list[dict[str, Any]]:
        """Return the rows of items.parquet."""
        return pq.read_table(self.folder / "items.parquet").to_pylist()

    def texts(self) -> dict[str, str]:
        """Return item id -> text."""
        return {row["item_id"]: row["text"] for row in self.items()}


class Prepare(Protocol):
    """Writes the files, runs the command."""

    def __call__(self, kind: str, files: dict[str, str | bytes], *options: str) -> Prepared:
        """Prepare ``files`` (name -> content) as format ``kind``."""


@pytest.fixture
def prepare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Prepare:
    """Return a function that writes raw files and prepares them."""

    def run(kind: str, files: dict[str, str | bytes], *options: str) -> Prepared:
        folder, output = tmp_path / "in", tmp_path / "out"
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        folder.mkdir(exist_ok=True)
        code = main(["prepare", "--format", kind, "--input", str(folder), "--output", str(output), *options])
        leftovers = [path.name for path in tmp_path.iterdir() if path.name not in {"in", "out"}]
        assert leftovers == []
        assert code == 0 or not output.exists()
        return Prepared(code, capsys.readouterr().err, output)

    return run
