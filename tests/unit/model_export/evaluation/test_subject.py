"""How the questions for a bundle are divided off."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from app.inference.bundle import open_bundle
from model_export.errors import CommandError
from model_export.evaluation.subject import division_of, was_trained_on

if TYPE_CHECKING:
    from pathlib import Path

    from app.contract.manifest import Manifest


@pytest.fixture(scope="module")
def manifest(tiny_bundle: Path) -> Manifest:
    """Return a manifest of a bundle that was trained on generated data, cut in time."""
    return replace(open_bundle(tiny_bundle).manifest, training_data={"fingerprint": "generated", "split": "temporal"})


def test_a_bundle_is_asked_as_its_training_was_divided(manifest: Manifest, make_dataset) -> None:
    """Leave-one-out questions would have answers that it was trained on."""
    data = make_dataset([[1, 2, 3]], item_count=4)
    assert was_trained_on(manifest, data)
    assert division_of(manifest, data, None) == "temporal"
    assert division_of(manifest, data, "temporal") == "temporal"
    with pytest.raises(CommandError, match="--division is leave-one-out, but the bundle was trained with --split temp"):
        division_of(manifest, data, "leave-one-out")


def test_other_data_is_divided_as_one_likes(manifest: Manifest, make_dataset) -> None:
    """Newer events of the same shop, for example."""
    data = replace(make_dataset([[1, 2, 3]], item_count=4), fingerprint="newer")
    assert not was_trained_on(manifest, data)
    assert division_of(manifest, data, None) == "leave-one-out"
    assert division_of(manifest, data, "temporal") == "temporal"
