"""No damage to a bundle ends in anything but a refusal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.contract.golden import golden_from
from app.contract.manifest import MANIFEST_FILE, manifest_from, read_manifest
from app.contract.strict_json import parse_strict_json
from app.errors import BundleError
from bench.bundle_fuzz import fuzz

if TYPE_CHECKING:
    from pathlib import Path

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def test_damaged_bundles_are_refused(tmp_path: Path) -> None:
    """Of 120 damaged bundles none ends in anything but `BundleError`, none is accepted that differs from its hashes."""
    outcomes, surprises = fuzz(tmp_path, bundles=120, seed=7)
    assert surprises == []
    assert outcomes["refused"] > 100


@pytest.fixture(scope="module")
def manifest_content(tiny_bundle: Path) -> dict[str, Any]:
    """Return the parsed manifest of the tiny bundle."""
    content: dict[str, Any] = json.loads((tiny_bundle / MANIFEST_FILE).read_text())
    return content


@given(data=st.data(), value=JSON)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_value_in_the_manifest_is_accepted_or_refused(
    manifest_content: dict[str, Any], data: st.DataObject, value: Any
) -> None:
    """Whatever stands at a key, reading ends in a manifest or in `BundleError`."""
    key = data.draw(st.sampled_from(sorted(manifest_content)))
    try:
        manifest = manifest_from(manifest_content | {key: value})
    except BundleError as error:
        assert len(str(error)) < 1_000  # noqa: PT017 -- refusal is one of two good ends
    else:
        assert getattr(manifest, key) in (value, tuple(value) if isinstance(value, list) else value)


@given(value=JSON, key=st.sampled_from(["requests", "texts", "name", "history_rows", "scores", "candidate_rows"]))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_value_in_the_golden_requests_is_accepted_or_refused(tiny_bundle: Path, key: str, value: Any) -> None:
    """Whatever stands in ``golden.json``, reading ends in golden requests or in `BundleError`."""
    manifest = read_manifest(tiny_bundle)
    content = json.loads((tiny_bundle / "golden.json").read_text())
    place = content if key in content else content["requests"][0]
    place[key] = value
    try:
        golden = golden_from(content, manifest)
    except BundleError as error:
        assert "golden.json" in str(error)  # noqa: PT017 -- as above
    else:
        assert golden.requests


@given(content=st.binary(max_size=64) | JSON.map(lambda value: json.dumps(value).encode()))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_json_or_refused(content: bytes) -> None:
    """The reader of both files fails in one way only."""
    try:
        parse_strict_json(content, name="manifest.json")
    except BundleError as error:
        assert "manifest.json is no valid JSON" in str(error)  # noqa: PT017 -- as above
