"""What the data's statistics decide."""

from __future__ import annotations

from dataclasses import replace

from model_export.run_config import ModelConfig, RunConfig
from model_export.training.capacity import DENSE, SPARSE, resolved
from tests.unit.model_export.training.small_material import small_material

SHOP = replace(small_material().statistics, items=10_000, events=90_000, median_history=7.0, mean_history=9.0)
FILMS = replace(SHOP, items=1_000, events=100_000, median_history=65.0, mean_history=106.0)


def test_sparse_data_gets_the_smaller_model():
    """Few events per item: one block, more dropout."""
    model = resolved(RunConfig(), SHOP).model
    assert (model.blocks, model.dropout, model.history_length) == (SPARSE.blocks, SPARSE.dropout, 50)


def test_dense_data_gets_the_larger_model():
    """Many events per item and user: more blocks and a longer history."""
    model = resolved(RunConfig(), FILMS).model
    assert (model.blocks, model.dropout, model.history_length) == (DENSE.blocks, DENSE.dropout, 100)


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
    assert resolved(RunConfig(), replace(SHOP, timestamps_are_real=False)).model.use_time is False
    assert resolved(RunConfig(), replace(SHOP, timestamps_are_real=True)).model.use_time is True
