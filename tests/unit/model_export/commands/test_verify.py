"""`verify` tells a good bundle from a bad one without serving it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from model_export.__main__ import main

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_good_bundle_ends_in_0_and_a_table(tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The certificate is shown and the replay counted."""
    assert main(["verify", str(tiny_bundle)]) == 0
    shown = capsys.readouterr().out
    assert "| version | fp32-" in shown
    assert "good: 7 files unaltered, 4 golden requests within" in shown


def test_a_bad_bundle_ends_in_1_and_the_reason(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sentence names the file."""
    copy = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    (copy / "retriever.onnx").unlink()
    assert main(["verify", str(copy)]) == 1
    assert "not good: retriever.onnx is missing" in capsys.readouterr().err


def test_a_key_asks_for_a_signature(tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With a public key an unsigned bundle is not good."""
    (tmp_path / "key.pub").write_text("no key")
    assert main(["verify", str(tiny_bundle), "--public-key", str(tmp_path / "key.pub")]) == 1
    assert "the public key" in capsys.readouterr().err
