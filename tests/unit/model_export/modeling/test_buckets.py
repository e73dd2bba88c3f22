"""Buckets of seconds and of distances."""

from __future__ import annotations

import torch

from model_export.modeling.buckets import POSITION_BUCKETS, TIME_BUCKETS, position_bucket, time_bucket


def test_time_buckets_double_every_second_step():
    """0, 1, 3, 7, ... seconds are the first of every other bucket."""
    seconds = torch.tensor([2.0**power - 1.0 for power in range(20)])
    assert time_bucket(seconds).tolist() == [2 * power for power in range(20)]


def test_time_buckets_rise_and_end():
    """More seconds never fall into a lower bucket, and centuries fall into the last."""
    seconds = torch.logspace(-3, 12, 500)
    buckets = time_bucket(seconds)
    assert (buckets.diff() >= 0).all()
    assert int(time_bucket(torch.tensor([1e12]))) == TIME_BUCKETS - 1
    assert int(time_bucket(torch.tensor([-5.0]))) == 0


def test_near_positions_have_buckets_of_their_own():
    """Distances up to 8 are told apart exactly; farther ones share, in order."""
    buckets = position_bucket(torch.arange(2000))
    assert buckets[:9].tolist() == list(range(9))
    assert (buckets.diff() >= 0).all()
    assert int(buckets.max()) == POSITION_BUCKETS - 1
