"""Choosing what the configuration leaves open from what the data looks like."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from model_export.data.statistics import DataStatistics
    from model_export.run_config import RunConfig

DENSE_EVENTS_PER_ITEM: Final = 40
DENSE_MEDIAN_HISTORY: Final = 20
"""From here on both, behaviour says enough about each item to feed a larger model."""


class Capacity(NamedTuple):
    """A size of model that goes with a kind of data; names as in `model_export.run_config`."""

    width: int
    vector_width: int
    blocks: int
    dropout: float
    delta_bound: float
    positions_per_batch: int


SPARSE: Final = Capacity(128, 128, 1, 0.4, 1.0, 4096)
DENSE: Final = Capacity(128, 128, 2, 0.3, 1.0, 2048)
HISTORY_LENGTHS: Final = (50, 100)


def is_dense(statistics: DataStatistics) -> bool:
    """Tell whether there is much behaviour both per item and per user."""
    per_item = statistics.events / max(statistics.items, 1)
    return per_item >= DENSE_EVENTS_PER_ITEM and statistics.median_history >= DENSE_MEDIAN_HISTORY


def history_length_for(statistics: DataStatistics) -> int:
    """Return the shortest of `HISTORY_LENGTHS` that holds four times the mean history; the longest if none does."""
    wanted = 4.0 * statistics.mean_history
    return next((length for length in HISTORY_LENGTHS if length >= wanted), HISTORY_LENGTHS[-1])


def resolved(config: RunConfig, statistics: DataStatistics) -> RunConfig:
    """Return the configuration with every choice made; what it says already stays."""
    model, training = config.model, config.training
    capacity = DENSE if is_dense(statistics) else SPARSE
    use_time = statistics.timestamps_are_real if model.use_time is None else model.use_time
    return replace(
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
            positions_per_batch=training.positions_per_batch or capacity.positions_per_batch,
        ),
    )
