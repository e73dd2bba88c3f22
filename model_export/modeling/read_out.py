"""From a fused user state to the vectors that items are compared with."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class UserState(NamedTuple):
    """What a ranking needs to know of a user; the leading dimensions are any.

    Attributes:
        interests: float32[..., K, D], one vector for each interest.
        log_shares: float32[..., K], log of how likely each interest is; sums to 1 over K.
        log_normaliser: float32[...], predicted log of the sum of ``exp(logit)`` over the catalogue.
        outcomes: float32[..., O, D], one vector for each outcome of an event.
    """

    interests: Tensor
    log_shares: Tensor
    log_normaliser: Tensor
    outcomes: Tensor


class ReadOut(nn.Module):
    """Linear heads on the fused state.

    The outcome and normaliser heads read a detached state: they describe the ranking and do not shape it.

    Args:
        width: E.
        vector_width: D.
        interests: K.
        objectives: O.
    """

    def __init__(self, width: int, vector_width: int, *, interests: int, objectives: int) -> None:
        super().__init__()
        self.vector_width = vector_width
        self.interests = nn.Linear(width, interests * vector_width)
        self.shares = nn.Linear(width, interests)
        self.outcomes = nn.Linear(width, objectives * vector_width)
        self.normaliser = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1))
        with torch.no_grad():
            popularity = self.interests.bias.view(interests, vector_width)[:, -1]
            popularity.fill_(1.0)
            self.interests.weight.view(interests, vector_width, width)[:, -1].zero_()

    def forward(self, fused: Tensor) -> UserState:
        """Return the user state of float32[..., E] fused states."""
        described = fused.detach()
        return UserState(
            interests=self.interests(fused).unflatten(-1, (-1, self.vector_width)),
            log_shares=torch.log_softmax(self.shares(fused), dim=-1),
            log_normaliser=self.normaliser(described).squeeze(-1),
            outcomes=self.outcomes(described).unflatten(-1, (-1, self.vector_width)),
        )
