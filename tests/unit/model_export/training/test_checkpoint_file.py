"""Checkpoints are whole or not there."""

from __future__ import annotations

import pytest
import torch

from model_export.errors import CommandError
from model_export.training.checkpoint_file import read_checkpoint, write_checkpoint


def test_what_is_written_is_read(tmp_path):
    """Tensors and numbers come back."""
    path = tmp_path / "folder" / "latest.pt"
    write_checkpoint(path, {"step": 3, "weights": torch.arange(3)})
    state = read_checkpoint(path)
    assert state is not None
    assert state["step"] == 3
    assert state["weights"].tolist() == [0, 1, 2]


def test_no_file_is_no_checkpoint(tmp_path):
    """A fresh run begins at the beginning."""
    assert read_checkpoint(tmp_path / "latest.pt") is None


def test_a_write_that_breaks_off_leaves_the_old_checkpoint(tmp_path):
    """What cannot be written does not spoil what was."""
    path = tmp_path / "latest.pt"
    write_checkpoint(path, {"step": 1})
    with pytest.raises(Exception, match=r".+"):
        write_checkpoint(path, {"step": lambda: None})
    assert read_checkpoint(path) == {"step": 1}


def test_a_foreign_file_is_refused(tmp_path):
    """The message says what to do."""
    path = tmp_path / "latest.pt"
    path.write_text("not a checkpoint")
    with pytest.raises(CommandError, match="remove it to start over"):
        read_checkpoint(path)
