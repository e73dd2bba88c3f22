"""Fixtures that every test may use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.tiny_bundle import make_tiny_bundle

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a published FP32 bundle of 200 items; do not change it, copy it."""
    return make_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny")
