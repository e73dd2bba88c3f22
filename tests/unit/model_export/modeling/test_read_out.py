"""What is read from a user's state."""

from __future__ import annotations

import torch

from model_export.modeling.read_out import ReadOut


def test_outcomes_and_normaliser_do_not_shape_the_state():
    """They describe the ranking: no gradient of theirs reaches the state, that of the interests does."""
    read_out = ReadOut(8, 4, interests=2, objectives=3)
    fused = torch.randn(5, 8, requires_grad=True)
    user = read_out(fused)
    assert user.interests.shape == (5, 2, 4)
    assert user.outcomes.shape == (5, 3, 4)
    (user.outcomes.sum() + user.log_normaliser.sum()).backward()
    assert fused.grad is None
    user.interests.square().sum().backward()
    assert fused.grad is not None
    torch.testing.assert_close(user.log_shares.exp().sum(dim=-1), torch.ones(5))


def test_an_untrained_state_ranks_by_popularity():
    """The last coordinate of each interest, which multiplies popularity, begins at 1 for every user."""
    user = ReadOut(8, 4, interests=2, objectives=1)(torch.randn(5, 8))
    assert (user.interests[..., -1] == 1).all()
