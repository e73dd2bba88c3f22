"""The running average of the weights."""

from __future__ import annotations

import torch

from model_export.training.averaging import WeightAverage


def test_the_average_is_lent_and_taken_back():
    """Inside the block the model has the average, afterwards its own weights again."""
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(model.weight, 0.0)
    average = WeightAverage(model, 0.9)
    torch.nn.init.constant_(model.weight, 1.0)
    average.update()
    with average.applied():
        inside = float(model.weight.detach())
    assert 0.0 < inside < 1.0
    assert float(model.weight.detach()) == 1.0
    average.keep()
    assert float(model.weight.detach()) == inside


def test_a_decay_of_0_keeps_the_latest():
    """Without averaging the model is what it is."""
    model = torch.nn.Linear(1, 1, bias=False)
    average = WeightAverage(model, 0.0)
    torch.nn.init.constant_(model.weight, 5.0)
    average.update()
    with average.applied():
        assert float(model.weight.detach()) == 5.0
