"""The weights of a ranker in a safetensors file, the frozen text encoder left out."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from model_export.modeling.ranker import SequenceRanker
    from model_export.modeling.text_whitening import Whitening

PROJECTION: Final = "text_tower.projection"
OFFSET: Final = "text_tower.offset"
TEXT_VECTORS: Final = "items.text_vectors"
_ENCODER_PREFIX: Final = "text_tower.encoder."


def write_weights(model: SequenceRanker, path: Path, whitening: Whitening) -> None:
    """Write all weights at once but those of the text encoder, which has a folder of its own or is a known one.

    Args:
        model: With or without a text tower.
        path: Of the file.
        whitening: Of the text vectors; written where the model has no tower that holds it.

    Raises:
        OSError: If the disk does not take them.
    """
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    weights = {
        name: value.detach().cpu().contiguous()
        for name, value in model.state_dict().items()
        if not name.startswith(_ENCODER_PREFIX)
    }
    weights.setdefault(PROJECTION, torch.from_numpy(whitening.projection.copy()))
    weights.setdefault(OFFSET, torch.from_numpy(whitening.offset.copy()))
    with full_disk_said(path):
        save_file(weights, unfinished)
    unfinished.replace(path)


@contextmanager
def full_disk_said(path: Path) -> Iterator[None]:
    """Turn what safetensors raises where a file cannot be written into the system's kind of error.

    Raises:
        OSError: With the path, and why.
    """
    try:
        yield
    except SafetensorError as error:
        raise OSError(f"{path} cannot be written: {error}") from error


def load_weights(model: SequenceRanker, path: Path) -> None:
    """Put the weights of a file into a model of the same shape.

    Raises:
        RuntimeError: If names or shapes differ.
    """
    weights = load_file(path)
    missing, unexpected = model.load_state_dict(weights, strict=False)
    missing = [name for name in missing if not name.startswith(_ENCODER_PREFIX)]
    unexpected = [name for name in unexpected if not name.startswith("text_tower.")]
    if missing or unexpected:
        raise RuntimeError(f"{path} lacks {missing} and has {unexpected} beyond what the model takes")
