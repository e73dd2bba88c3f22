"""A bundle is there complete, or not at all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from app.contract.manifest import MANIFEST_FILE, read_manifest
from app.errors import BundleError
from model_export.onnx_export.publish import bundle_draft
from tests.tiny_bundle import make_tiny_bundle

if TYPE_CHECKING:
    from pathlib import Path


def test_a_published_bundle_is_never_changed(tiny_bundle: Path) -> None:
    """Publishing at an existing folder is refused before any work is done."""
    before = (tiny_bundle / MANIFEST_FILE).read_bytes()
    with pytest.raises(BundleError, match="exists already; a published bundle is never changed"):
        make_tiny_bundle(tiny_bundle)
    assert (tiny_bundle / MANIFEST_FILE).read_bytes() == before


def test_an_export_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """Neither the bundle nor its draft is there after an error."""

    def failing() -> None:
        with bundle_draft(tmp_path / "bundle") as draft:
            (draft / "ranker.onnx").write_bytes(b"half")
            raise RuntimeError("broken off")

    with pytest.raises(RuntimeError, match="broken off"):
        failing()
    assert list(tmp_path.iterdir()) == []


def test_the_same_content_gets_the_same_version(tiny_bundle: Path, tmp_path: Path) -> None:
    """A version names content, not a moment."""
    again = make_tiny_bundle(tmp_path / "again")
    assert read_manifest(again).version == read_manifest(tiny_bundle).version


@pytest.mark.parametrize("changes", [{"item_count": 199}, {"precision": "fp16"}, {"name": "other"}])
def test_other_content_gets_another_version(tiny_bundle: Path, tmp_path: Path, changes: dict[str, object]) -> None:
    """Items, precision and name are part of what a version stands for."""
    other = make_tiny_bundle(tmp_path / "other", **changes)
    assert read_manifest(other).version != read_manifest(tiny_bundle).version


def test_every_file_is_listed_with_hash_and_size(tiny_bundle: Path) -> None:
    """The folder holds the manifest and what it lists."""
    listed = json.loads((tiny_bundle / MANIFEST_FILE).read_text())["files"]
    present = {path.name: path.stat().st_size for path in tiny_bundle.iterdir() if path.name != MANIFEST_FILE}
    assert {name: entry["size"] for name, entry in listed.items()} == present


def test_a_bundle_can_be_read_by_other_users(tiny_bundle: Path) -> None:
    """The service may run as another user than the exporter; a draft folder is private, a bundle is not."""
    assert tiny_bundle.stat().st_mode & 0o777 == 0o755
