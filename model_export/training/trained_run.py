"""Opening a finished run: its configuration, data, split and model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors import safe_open

from model_export.data.dataset import read_dataset
from model_export.data.splits import split_by_name
from model_export.data.statistics import statistics_of
from model_export.errors import CommandError
from model_export.modeling.text_tower import TextTower
from model_export.modeling.text_whitening import Whitening
from model_export.run_directory import RunDirectory
from model_export.training.building import build_ranker
from model_export.training.item_texts import text_encoder
from model_export.training.outcomes import Outcomes, outcomes_of
from model_export.training.weights_file import OFFSET, PROJECTION, TEXT_VECTORS, load_weights

if TYPE_CHECKING:
    from app.contract.tensors import Float32Array
    from model_export.data.dataset import Dataset
    from model_export.data.splits import Split
    from model_export.modeling.ranker import SequenceRanker
    from model_export.run_config import RunConfig


@dataclass(frozen=True, slots=True)
class TrainedRun:
    """A finished run.

    Attributes:
        config: Resolved.
        data: The events that the split's positions refer to.
        split: What was held out.
        model: In evaluation mode, with a frozen text tower that makes ``encode_texts`` work.
        outcomes: The objectives and the outcome of each event.
        tokenizer_folder: Where the text encoder and its tokenizer lie.
        max_tokens: T, where longer texts are cut.
    """

    config: RunConfig
    data: Dataset
    split: Split
    model: SequenceRanker
    outcomes: Outcomes
    tokenizer_folder: Path
    max_tokens: int


def load_trained_run(folder: Path, device: str = "cpu", *, selected: bool = False) -> TrainedRun:
    """Open a run folder.

    Args:
        folder: What ``train --run`` wrote.
        device: Where the model goes.
        selected: The model of the best epoch, which has not seen the validation events, instead of the one that goes
            live; for whatever is fitted on validation.

    Raises:
        CommandError: If the run is not complete, or its data has changed.
    """
    directory = RunDirectory(folder)
    config = directory.read_config()
    if not directory.weights_file.is_file():
        raise CommandError(
            f"{folder} has no {directory.weights_file.name}: the run is not complete, train goes on with it"
        )
    data, split = split_by_name(_prepared(directory), config.split)
    outcomes = outcomes_of(data)
    weights = directory.selected_weights_file if selected else directory.weights_file
    text_vectors_NW, whitening = _text_side(weights)
    own_encoder = str(directory.text_encoder_folder) if directory.text_encoder_folder.is_dir() else config.text.encoder
    encoder = text_encoder(replace(config.text, encoder=own_encoder))
    model = build_ranker(
        config,
        text_vectors_NW=text_vectors_NW,
        counts_N=np.ones(data.item_count + 1, np.int64),
        actions=len(data.actions),
        objectives=len(outcomes.names),
        repeat_share=statistics_of(data).repeat_share,
        text_tower=TextTower(encoder, whitening),
    )
    load_weights(model, weights)
    if selected:
        model.items.boost_new_items(_boost_of(directory))
    return TrainedRun(config, data, split, model.to(device).eval(), outcomes, encoder.folder, encoder.max_tokens)


def _boost_of(directory: RunDirectory) -> float:
    """Return by how much the run raised new items; the selected weights do not have it yet."""
    metrics = directory.read_metrics()
    if "new_item_boost" not in metrics:
        file = directory.metrics_file
        raise CommandError(f"{file} has no new_item_boost: an earlier version made this run, train it again")
    return float(metrics["new_item_boost"])


def _text_side(weights: Path) -> tuple[Float32Array, Whitening]:
    """Return ``float32[N, W]`` text vectors, row 1 first, and the whitening that a weights file holds."""
    with safe_open(str(weights), framework="np") as stream:
        text_vectors_NW: Float32Array = stream.get_tensor(TEXT_VECTORS)[1:]
        return text_vectors_NW, Whitening(stream.get_tensor(PROJECTION), stream.get_tensor(OFFSET))


def _prepared(directory: RunDirectory) -> Dataset:
    """Read the data that a run was trained on."""
    environment = directory.read_environment()
    prepared = read_dataset(Path(environment["data"]))
    if prepared.fingerprint != environment["data_fingerprint"]:
        raise CommandError(
            f"the data of {directory.folder} has changed since training, expected what it was trained on"
        )
    return prepared
