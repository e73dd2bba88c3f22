"""The attention bias of a pair of events from their distance in the sequence and in time."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from app.contract.tensors import MASKED_LOGIT
from model_export.modeling.buckets import POSITION_BUCKETS, TIME_BUCKETS, position_bucket, time_bucket


class PairwiseBias(nn.Module):
    """Learned per-head bias of (query, key), causal; after HSTU's relative attention bias (Zhai et al. 2024).

    A pair's bias is the sum of one number for its distance in events and, where timestamps are real, one for the log
    bucket of the seconds between them. A key later than the query gets `MASKED_LOGIT`. Right padding lies later than
    every event, so it needs no mask of its own. One table holds the heads of several layers: looking a pair up once
    for all of them is what makes it cheap to train.

    Args:
        heads: X, of all layers together.
        use_time: False where only the order is known: ages are then ignored.
    """

    def __init__(self, heads: int, *, use_time: bool) -> None:
        super().__init__()
        self.of_position = nn.Parameter(torch.zeros(POSITION_BUCKETS, heads))
        self.of_time = nn.Parameter(torch.zeros(TIME_BUCKETS, heads)) if use_time else None

    def forward(self, age_BL: Tensor) -> Tensor:
        """Return float32[B or 1, X, L, L], the bias of every query.

        Args:
            age_BL: float32 seconds.
        """
        every_1L = torch.arange(age_BL.shape[1], device=age_BL.device).unsqueeze(0)
        return self._bias(every_1L, age_BL, age_BL, slice(None))

    def of_query(self, age_BL: Tensor, position_B: Tensor, heads: slice) -> Tensor:
        """Return float32[B, X, 1, L], the bias of one query of each sequence, for some of the heads.

        Args:
            age_BL: float32 seconds.
            position_B: int64, the query's position.
            heads: Which heads.
        """
        position_B1 = position_B.unsqueeze(1)
        return self._bias(position_B1, age_BL.gather(1, position_B1), age_BL, heads)

    def _bias(self, position_BQ: Tensor, age_BQ: Tensor, age_BL: Tensor, heads: slice) -> Tensor:
        keys_L = torch.arange(age_BL.shape[1], device=age_BL.device)
        distance_BQL = position_BQ.unsqueeze(-1) - keys_L
        bias_BQLX = functional.embedding(position_bucket(distance_BQL.clamp(min=0)), self.of_position[:, heads])
        bias_BQLX = bias_BQLX + torch.where(distance_BQL < 0, MASKED_LOGIT, 0.0).unsqueeze(-1)
        if self.of_time is not None:
            apart_BQL = age_BL.unsqueeze(1) - age_BQ.unsqueeze(-1)
            bias_BQLX = bias_BQLX + functional.embedding(time_bucket(apart_BQL), self.of_time[:, heads])
        return bias_BQLX.permute(0, 3, 1, 2)
