"""What ``manifest.json`` may say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from app.contract.manifest import BUNDLE_FILES, MANIFEST_FILE, Manifest, manifest_from, read_manifest
from app.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path


def raw_manifest(**changes: Any) -> dict[str, Any]:
    """Return parsed content that is accepted, with changes."""
    content: dict[str, Any] = {
        "format_version": 1, "name": "shop", "version": "fp32-0123", "created": "2026-01-01T00:00:00+00:00",
        "precision": "fp32", "history_length": 50, "actions": ["click"], "vector_width": 64, "item_count": 3,
        "files": {name: {"sha256": "0" * 64, "size": 1} for name in BUNDLE_FILES},
    }  # fmt: skip
    return content | changes


def test_a_manifest_survives_writing_and_reading(tmp_path: Path) -> None:
    """What is written is what is read."""
    manifest = manifest_from(raw_manifest(objectives=["buy"], default_objective={"buy": 0.5}, metrics={"NDCG@10": 0.1}))
    (tmp_path / MANIFEST_FILE).write_text(manifest.to_json())
    assert manifest == read_manifest(tmp_path)


def test_unknown_keys_are_ignored() -> None:
    """A later exporter may say more without a new format version."""
    assert isinstance(manifest_from(raw_manifest(colour="blue")), Manifest)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format_version", "1"), ("format_version", True), ("format_version", 0), ("name", ""), ("name", "../up"),
        ("name", "a/b"), ("name", "x" * 129), ("version", ".hidden"), ("created", "yesterday"), ("created", 5),
        ("precision", "fp8"), ("precision", ["fp32"]), ("history_length", 0), ("history_length", 10**9),
        ("history_length", 50.0), ("history_length", True), ("actions", []), ("actions", "click"),
        ("actions", ["a", "a"]), ("actions", [""]), ("actions", ["\n"]), ("vector_width", -1), ("item_count", 0),
        ("item_count", 1 << 40), ("files", []), ("files", {}), ("metrics", []), ("versions", {"numpy": 2}),
        ("objectives", [1]), ("default_objective", {"unknown": 1.0}), ("max_tokens", 0), ("opset", -1),
    ],
)  # fmt: skip
def test_a_value_out_of_bounds_is_refused_by_name(key: str, value: Any) -> None:
    """The sentence names the key."""
    with pytest.raises(BundleError, match=key):
        manifest_from(raw_manifest(**{key: value}))


@pytest.mark.parametrize("weight", ["1", True, None])
def test_a_weight_that_is_no_number_is_refused(weight: Any) -> None:
    """The sentence names the objective and the weight."""
    with pytest.raises(BundleError, match="default_objective gives 'buy' the weight"):
        manifest_from(raw_manifest(objectives=["buy"], default_objective={"buy": weight}))


@pytest.mark.parametrize("key", ["name", "version", "created", "precision", "actions", "files", "item_count"])
def test_a_missing_key_is_named(key: str) -> None:
    """A manifest without a required key is refused."""
    content = raw_manifest()
    del content[key]
    with pytest.raises(BundleError, match=f"lacks {key}"):
        manifest_from(content)


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"sha256": "zz", "size": 1}, "the sha256 of golden.json"),
        ({"sha256": "0" * 64, "size": -1}, "the size of golden.json"),
        ({"sha256": "0" * 64}, "files describes golden.json"),
        ("0" * 64, "files describes golden.json"),
    ],
)
def test_a_bad_file_entry_is_named(entry: Any, sentence: str) -> None:
    """Each listed file needs a hash and a size."""
    files = raw_manifest()["files"] | {"golden.json": entry}
    with pytest.raises(BundleError, match=sentence):
        manifest_from(raw_manifest(files=files))


def test_a_path_among_the_files_is_refused() -> None:
    """A manifest cannot make the service hash or open something outside its folder."""
    files = raw_manifest()["files"] | {"../../etc/passwd": {"sha256": "0" * 64, "size": 1}}
    with pytest.raises(BundleError, match="etc/passwd"):
        manifest_from(raw_manifest(files=files))


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"a": NaN}', b'{"a": 1e999}', b'{"a": 1, "a": 2}', b'"\\ud800"',
        b"[" * 100_000, b'{"a":' * 5_000, b'{"format_version": ' + b"9" * 5_000 + b"}",
    ],
)  # fmt: skip
def test_what_is_no_manifest_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    """Broken JSON, numbers that are none, twins, half characters and deep nesting end in one kind of error."""
    (tmp_path / MANIFEST_FILE).write_bytes(content)
    with pytest.raises(BundleError, match=r"manifest\.json"):
        read_manifest(tmp_path)


def test_a_huge_manifest_is_not_read(tmp_path: Path) -> None:
    """The size is looked at before the content."""
    (tmp_path / MANIFEST_FILE).write_bytes(b" " * (5 << 20))
    with pytest.raises(BundleError, match="5242880 bytes"):
        read_manifest(tmp_path)


def test_the_json_has_the_keys_that_others_read() -> None:
    """The names of the design's manifest stay."""
    written = json.loads(manifest_from(raw_manifest()).to_json())
    promised = {
        "format_version", "name", "version", "created", "precision", "history_length", "actions", "vector_width",
        "item_count", "files", "metrics", "parity",
    }  # fmt: skip
    assert promised <= set(written)
