"""A tiny material and configuration for training tests: no text encoder is loaded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from model_export.data.splits import leave_one_out
from model_export.data.statistics import statistics_of
from model_export.modeling.text_whitening import Whitening
from model_export.run_config import ModelConfig, RunConfig, TextConfig, TrainingConfig
from model_export.training.capacity import resolved
from model_export.training.item_texts import ItemTexts
from model_export.training.material import TrainingMaterial
from model_export.training.outcomes import outcomes_of
from tests.small_data import dataset_of

ITEMS = 20


def small_material(users: int = 60) -> TrainingMaterial:
    """Users walk along a circle of items: the next item is the one after the last."""
    random = np.random.default_rng(0)
    histories = []
    for _ in range(users):
        first, length = int(random.integers(ITEMS)), int(random.integers(3, 12))
        seconds = np.cumsum(random.integers(1, 90_000, length)) + 1_600_000_000
        histories.append(
            [((first + step) % ITEMS + 1, int(second), int(random.integers(2))) for step, second in enumerate(seconds)]
        )
    data = dataset_of(histories, items=ITEMS)
    vectors_NW = random.normal(size=(ITEMS, 6)).astype(np.float32)
    whitening = Whitening(np.eye(6, dtype=np.float32), np.zeros(6, np.float32))
    texts = ItemTexts(data.item_texts(), vectors_NW, whitening, TextConfig())
    return TrainingMaterial(data, leave_one_out(data), statistics_of(data), texts, outcomes_of(data))


def small_config(material: TrainingMaterial, **training: object) -> RunConfig:
    """Return a resolved configuration of a tiny model."""
    model = ModelConfig(width=16, vector_width=16, blocks=1, history_length=8, dropout=0.1)
    settings = {"positions_per_batch": 64, "max_epochs": 3, "warm_up_steps": 5, "precision": "float32", **training}
    config = RunConfig(model=model, training=replace(TrainingConfig(), **settings))
    return resolved(config, material.statistics)
