"""Reading prepared data and encoding its texts: all that a training needs before it begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from model_export.data.dataset import read_dataset
from model_export.data.prepared_folder import TEXT_CACHE_FOLDER
from model_export.data.splits import TEMPORAL, split_by_name
from model_export.data.statistics import statistics_of
from model_export.errors import DataError
from model_export.training.capacity import resolved
from model_export.training.item_texts import encode_item_texts
from model_export.training.material import TrainingMaterial, event_counts
from model_export.training.outcomes import outcomes_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import torch

    from model_export.data.splits import Split
    from model_export.run_config import RunConfig


def load_material(
    data_folder: Path, config: RunConfig, note: Callable[[str], None], *, device: torch.device
) -> TrainingMaterial:
    """Read, split, describe and encode; nothing is written for a configuration that does not go with the data.

    Args:
        data_folder: What ``prepare`` wrote.
        config: Its split and text encoder are what counts.
        note: Told in a sentence what the data looks like.
        device: Where the texts are encoded.

    Raises:
        DataError: If the folder is not what ``prepare`` or ``simulate`` wrote, or the split leaves nothing to ask.
        ConfigError: If the configuration does not go with the data.
    """
    data, split = split_by_name(read_dataset(data_folder), config.split)
    _refuse_nothing_to_ask(split, data_folder)
    statistics = statistics_of(data)
    resolved(config, statistics)
    times = "timestamps are real" if statistics.timestamps_are_real else "only the order is known: times are ignored"
    note(f"{statistics.users:,} users, {statistics.items:,} items, {statistics.events:,} events; {times}")
    if split.name == TEMPORAL and not statistics.timestamps_are_real:
        note("the temporal split cuts all users at one time: with made-up times that means nothing, try leave-one-out")
    note("encoding the item texts, but for those that an earlier training on this data has encoded")
    texts = encode_item_texts(
        data.item_texts(),
        config.text,
        cache_folder=data_folder / TEXT_CACHE_FOLDER,
        known_positions=np.flatnonzero(event_counts(data, split.train_ends)) - 1,
        device=device,
    )
    return TrainingMaterial(data, split, statistics, texts, outcomes_of(data))


def _refuse_nothing_to_ask(split: Split, data_folder: Path) -> None:
    """Refuse data on which no number of epochs could be chosen, and no result measured."""
    needed = {TEMPORAL: "users with events on both sides of its cuts"}.get(
        split.name, "users with three events or more"
    )
    for what, held in (("validation", split.validation), ("test", split.test)):
        if not len(held):
            raise DataError(f"the {split.name} split of {data_folder} has no {what} question, expected {needed}")
