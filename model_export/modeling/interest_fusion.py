"""Fusing what a user does now with what the user always liked."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model_export.modeling.attention import attend
from model_export.modeling.pairwise_bias import PairwiseBias


class LongTermReader(nn.Module):
    """A slow view of the whole history: causal attention of one learned query over linear images of the items.

    There is no residual and no non-linearity on the values, so it is a low-rank item-to-item model (after FISM, Kabbur
    et al. 2013) whose decay over events is learned.
    """

    def __init__(self, vector_width: int, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Parameter(torch.zeros(1, 1, width))
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(vector_width, width)
        self.bias = PairwiseBias(heads, use_time=False)

    def forward(self, inputs_BLE: Tensor, vectors_BLD: Tensor, age_BL: Tensor) -> Tensor:
        """Return float32[B, L, E], the long-term state after each position."""
        return self._read(inputs_BLE, vectors_BLD, self.bias(age_BL))

    def last_state(self, inputs_BLE: Tensor, vectors_BLD: Tensor, age_BL: Tensor, last_B: Tensor) -> Tensor:
        """Return float32[B, E], the long-term state after position ``last_B``."""
        bias_BX1L = self.bias.of_query(age_BL, last_B, slice(None))
        return self._read(inputs_BLE, vectors_BLD, bias_BX1L).squeeze(1)

    def _read(self, inputs_BLE: Tensor, vectors_BLD: Tensor, bias_BXQL: Tensor) -> Tensor:
        query_BQE = self.query.expand(inputs_BLE.shape[0], bias_BXQL.shape[2], -1)
        return attend(query_BQE, self.key(inputs_BLE), self.value(vectors_BLD), bias_BXQL, self.heads)


class InterestGate(nn.Module):
    """How much of the fused state is short-term, 0..1, from both states."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate = nn.Linear(2 * width, 1)
        self.norm = nn.LayerNorm(width)

    def forward(self, short_term: Tensor, long_term: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``(fused[..., E], share of short-term[..., 1])``."""
        long_term = self.norm(long_term)
        share = torch.sigmoid(self.gate(torch.cat([short_term, long_term], dim=-1)))
        return share * short_term + (1.0 - share) * long_term, share
