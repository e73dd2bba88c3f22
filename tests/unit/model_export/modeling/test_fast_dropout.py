"""Dropout with cheap bits."""

from __future__ import annotations

import torch

from model_export.modeling.fast_dropout import FastDropout


def test_evaluation_changes_nothing():
    """In evaluation mode the values pass."""
    values = torch.randn(5, 3)
    assert torch.equal(FastDropout(0.5).eval()(values), values)


def test_the_right_share_is_dropped_and_the_mean_stays():
    """A quarter becomes 0, the rest is scaled up by 4/3."""
    torch.manual_seed(0)
    dropped = FastDropout(0.25).train()(torch.ones(101, 997))
    assert abs(float((dropped == 0).float().mean()) - 0.25) < 0.01
    torch.testing.assert_close(dropped.max(), torch.tensor(4 / 3))


def test_the_seed_decides():
    """The same seed drops the same values."""
    dropout = FastDropout(0.5).train()
    torch.manual_seed(3)
    first = dropout(torch.ones(100))
    torch.manual_seed(3)
    assert torch.equal(dropout(torch.ones(100)), first)
