"""Choosing what the configuration leaves open from what the data looks like."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from model_export.run_config import check_ranges

if TYPE_CHECKING:
    from model_export.data.statistics import DataStatistics
    from model_export.run_config import RunConfig

WELL_FED_EVENTS_PER_ITEM: Final = 40
"""From here on, behaviour says so much about each item that less has to be held back."""

LONG_MEDIAN_HISTORY: Final = 20
"""From here on, histories are long enough for a second block; see `docs/results/ablation.md`."""

STEPS_PER_EPOCH: Final = 90
BATCH_SIZES: Final = (4096, 2048, 1024)
"""Positions of a batch: small data needs small batches to learn in few passes, on large data large ones are cheaper."""


class Capacity(NamedTuple):
    """A size of model that goes with a kind of data; names as in `model_export.run_config`."""

    width: int
    vector_width: int
    blocks: int
    dropout: float
    delta_bound: float


SPARSE: Final = Capacity(128, 128, 1, 0.4, 1.0)
SHORT: Final = Capacity(128, 128, 1, 0.2, 0.5)
LONG: Final = Capacity(128, 128, 2, 0.3, 1.0)
HISTORY_LENGTHS: Final = (50, 100)


def capacity_for(statistics: DataStatistics) -> Capacity:
    """Return `SPARSE` where items have few events, else `SHORT` or `LONG` by the histories."""
    if statistics.events < WELL_FED_EVENTS_PER_ITEM * statistics.items:
        return SPARSE
    return LONG if statistics.median_history >= LONG_MEDIAN_HISTORY else SHORT


def batch_size_for(statistics: DataStatistics) -> int:
    """Return the largest of `BATCH_SIZES` that makes `STEPS_PER_EPOCH` steps an epoch; the smallest if none does."""
    return next((size for size in BATCH_SIZES if statistics.events >= STEPS_PER_EPOCH * size), BATCH_SIZES[-1])


def history_length_for(statistics: DataStatistics) -> int:
    """Return the shortest of `HISTORY_LENGTHS` that holds four times the mean history; the longest if none does."""
    wanted = 4.0 * statistics.mean_history
    return next((length for length in HISTORY_LENGTHS if length >= wanted), HISTORY_LENGTHS[-1])


def resolved(config: RunConfig, statistics: DataStatistics) -> RunConfig:
    """Return the configuration with every choice made; what it says already stays.

    Raises:
        ConfigError: If what was said does not go with what was chosen.
    """
    model, training = config.model, config.training
    capacity = capacity_for(statistics)
    use_time = statistics.timestamps_are_real if model.use_time is None else model.use_time
    made = replace(
        config,
        model=replace(
            model,
            width=model.width or capacity.width,
            vector_width=model.vector_width or capacity.vector_width,
            blocks=model.blocks or capacity.blocks,
            history_length=model.history_length or history_length_for(statistics),
            dropout=capacity.dropout if model.dropout is None else model.dropout,
            delta_bound=capacity.delta_bound if model.delta_bound is None else model.delta_bound,
            use_time=use_time,
        ),
        training=replace(
            training,
            positions_per_batch=training.positions_per_batch or batch_size_for(statistics),
        ),
    )
    check_ranges(made)
    return made
