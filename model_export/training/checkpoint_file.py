"""A checkpoint: written whole or not at all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import torch

from model_export.errors import CommandError

if TYPE_CHECKING:
    from pathlib import Path


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` under another name, flush it to the disk, then rename: a kill leaves the old file or the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as stream:
        torch.save(state, stream)
        stream.flush()
        os.fsync(stream.fileno())
    unfinished.replace(path)


def read_checkpoint(path: Path) -> dict[str, Any] | None:
    """Return the state, or None if there is no checkpoint.

    Raises:
        CommandError: If the file is no checkpoint.
    """
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a foreign file can fail in any way
        raise CommandError(f"{path} cannot be read as a checkpoint ({error}); remove it to start over") from error
    return state
