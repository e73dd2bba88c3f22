"""The export command before any work is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from model_export.__main__ import main

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--name", "My Shop", "--name is 'My Shop', expected 1 to 128 of A-Z a-z 0-9 . _ + -"),
        ("--sign-key", "no-such.pem", "the private key no-such.pem cannot be read"),
    ],
)
def test_what_publishing_would_refuse_is_refused_at_once(
    option: str, value: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody waits for graphs and measurements to learn that the name or the key is wrong."""
    arguments = ["export", "--run", str(tmp_path / "run"), "--bundle", str(tmp_path / "bundle"), option, value]
    assert main(arguments) == 2
    assert sentence in capsys.readouterr().err
