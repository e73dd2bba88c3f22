"""A bundle that differs from its manifest in any byte is refused with one sentence that names the file."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from app.contract.bundle_integrity import check_files
from app.contract.manifest import BUNDLE_FILES, FORMAT_VERSION, MANIFEST_FILE, read_manifest
from app.errors import BundleError
from app.inference.bundle import open_bundle

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """Return a copy that a test may spoil."""
    return shutil.copytree(tiny_bundle, tmp_path / "bundle")


def refusal(bundle: Path) -> str:
    """Return the sentence with which the bundle is refused."""
    with pytest.raises(BundleError) as caught:
        open_bundle(bundle, provider="cpu")
    return str(caught.value)


def test_an_untouched_bundle_passes(bundle: Path) -> None:
    """Every file of a published bundle has the listed size and SHA-256."""
    check_files(bundle, read_manifest(bundle))


@pytest.mark.parametrize("name", BUNDLE_FILES)
def test_a_changed_byte_names_the_file(bundle: Path, name: str) -> None:
    """One flipped bit in the middle of any file is found."""
    content = bytearray((bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / name).write_bytes(content)
    assert refusal(bundle).startswith(f"{name} was altered: its SHA-256")


@pytest.mark.parametrize("name", BUNDLE_FILES)
def test_a_missing_file_is_named(bundle: Path, name: str) -> None:
    """A bundle without one of its files is refused."""
    (bundle / name).unlink()
    assert refusal(bundle) == f"{name} is missing from the bundle {bundle}"


def test_a_truncated_file_is_named(bundle: Path) -> None:
    """A copy that broke off is found by its size, before anything is hashed."""
    content = (bundle / "item_table.npy").read_bytes()
    (bundle / "item_table.npy").write_bytes(content[:-7])
    assert refusal(bundle).startswith(f"item_table.npy was altered: it has {len(content) - 7} bytes")


def test_exchanged_files_are_named(bundle: Path) -> None:
    """Two files of the same size under each other's names are found, and the sentence says which was which."""
    manifest = json.loads((bundle / MANIFEST_FILE).read_text())
    content = (bundle / "tokenizer.json").read_bytes()
    (bundle / "golden.json").write_bytes(content)
    manifest["files"]["golden.json"]["size"] = len(content)
    (bundle / MANIFEST_FILE).write_text(json.dumps(manifest))
    assert refusal(bundle) == "golden.json was exchanged: it holds what manifest.json lists as tokenizer.json"


def test_an_unlisted_file_is_named(bundle: Path) -> None:
    """Something that the manifest does not know is refused: a graph might read it as external data."""
    (bundle / "ranker.onnx.data").write_bytes(b"x")
    assert "'ranker.onnx.data'" in refusal(bundle)


def test_a_link_out_of_the_folder_is_named(bundle: Path, tmp_path: Path) -> None:
    """A file that is a link to somewhere else is refused even if the bytes are right."""
    shutil.move(bundle / "golden.json", tmp_path / "elsewhere.json")
    (bundle / "golden.json").symlink_to(tmp_path / "elsewhere.json")
    assert refusal(bundle) == f"golden.json is a link that leaves the bundle {bundle}"


def test_a_folder_in_place_of_a_file_is_named(bundle: Path) -> None:
    """A folder under a file's name is refused."""
    (bundle / "golden.json").unlink()
    (bundle / "golden.json").mkdir()
    assert refusal(bundle) == f"golden.json in the bundle {bundle} is no file"


def test_a_newer_format_is_refused(bundle: Path) -> None:
    """A bundle of a later format version is not guessed at."""
    manifest = json.loads((bundle / MANIFEST_FILE).read_text()) | {"format_version": FORMAT_VERSION + 1}
    (bundle / MANIFEST_FILE).write_text(json.dumps(manifest))
    assert f"the bundle has format {FORMAT_VERSION + 1}, this service reads up to {FORMAT_VERSION}" in refusal(bundle)


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    """A wrong path is a sentence, not a traceback of the operating system."""
    assert refusal(tmp_path / "nowhere") == f"the bundle {tmp_path / 'nowhere'} does not exist or is no folder"


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    """An arbitrary folder is told apart from a damaged bundle."""
    assert refusal(tmp_path) == f"{tmp_path} is no bundle: it has no manifest.json"
