"""What the data's statistics decide."""

from __future__ import annotations

from dataclasses import replace

import pytest

from model_export.run_config import ConfigError, ModelConfig, RunConfig
from model_export.training.capacity import LONG, SHORT, SPARSE, resolved
from tests.unit.model_export.training.small_material import small_material

GOODS = replace(small_material().statistics, items=10_000, events=90_000, median_history=7.0, mean_history=9.0)
FILMS = replace(GOODS, items=1_000, events=100_000, median_history=65.0, mean_history=106.0)


@pytest.mark.parametrize(
    ("statistics", "capacity", "history_length"),
    [
        (GOODS, SPARSE, 50),
        (replace(GOODS, items=1_000), SHORT, 50),
        (FILMS, LONG, 100),
        (replace(FILMS, items=10_000), SPARSE, 100),
    ],
)
def test_events_per_item_and_histories_choose_the_capacity(statistics, capacity, history_length):
    """Few events per item hold the model back; many allow more, and long histories a second block."""
    model = resolved(RunConfig(), statistics).model
    assert (model.blocks, model.dropout, model.delta_bound) == (capacity.blocks, capacity.dropout, capacity.delta_bound)
    assert model.history_length == history_length


@pytest.mark.parametrize(("events", "positions"), [(27_000, 1024), (100_000, 1024), (200_000, 2048), (500_000, 4096)])
def test_small_data_gets_small_batches(events, positions):
    """An epoch has about a hundred steps, as far as batches of 1,024 to 4,096 positions make them."""
    assert resolved(RunConfig(), replace(GOODS, events=events)).training.positions_per_batch == positions


def test_what_is_configured_stays():
    """Choices fill gaps and override nothing, a dropout of 0 among them."""
    config = RunConfig(
        model=ModelConfig(width=32, blocks=3, dropout=0.0, history_length=10, delta_bound=0.0, use_time=False)
    )
    model = resolved(config, FILMS).model
    assert (model.width, model.blocks, model.dropout, model.history_length) == (32, 3, 0.0, 10)
    assert (model.delta_bound, model.use_time) == (0.0, False)


def test_made_up_times_are_ignored():
    """Only the order counts where timestamps are not real."""
    assert resolved(RunConfig(), replace(GOODS, timestamps_are_real=False)).model.use_time is False
    assert resolved(RunConfig(), replace(GOODS, timestamps_are_real=True)).model.use_time is True


def test_choices_that_do_not_go_with_a_setting_are_refused():
    """Heads must divide the width that the data chose."""
    with pytest.raises(ConfigError, match=r"model.heads is 3, expected a divisor of model.width, which is 128"):
        resolved(RunConfig(model=ModelConfig(heads=3)), GOODS)
