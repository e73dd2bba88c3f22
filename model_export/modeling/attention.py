"""Multi-head attention in plain operations, one function that an exporter can replace by a fused operator.

Shape legend of this package: B requests, Q query positions, K key positions, L positions of a sequence (start token and
H events), E hidden width, D vector width, N items, W text width, O objectives, X attention heads.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def attend(query_BQE: Tensor, key_BKE: Tensor, value_BKE: Tensor, bias_BXQK: Tensor, heads: int) -> Tensor:
    """Return float32[B, Q, E]: softmax(query · key / sqrt(E / X) + bias) · value, head by head.

    Args:
        query_BQE: Projected queries, the heads side by side in E.
        key_BKE: Projected keys.
        value_BKE: Projected values.
        bias_BXQK: Added to the logits; masked pairs hold `app.contract.tensors.MASKED_LOGIT`. B may be 1.
        heads: X; divides E.
    """
    batch, queries, width = query_BQE.shape
    keys, head_width = key_BKE.shape[1], width // heads
    query = query_BQE.reshape(batch, queries, heads, head_width).transpose(1, 2)
    key = key_BKE.reshape(batch, keys, heads, head_width).permute(0, 2, 3, 1)
    value = value_BKE.reshape(batch, keys, heads, head_width).transpose(1, 2)
    logits_BXQK = torch.matmul(query * (1.0 / math.sqrt(head_width)), key) + bias_BXQK
    mixed = torch.matmul(torch.softmax(logits_BXQK, dim=-1), value)
    return mixed.transpose(1, 2).reshape(batch, queries, width)


class MultiHeadAttention(nn.Module):
    """Projections around `attend`.

    Args:
        width: E.
        heads: X; divides E.

    Raises:
        ValueError: If the heads do not divide the width.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"{heads} attention heads do not divide the width {width}")
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)

    def forward(self, queries_BQE: Tensor, sequence_BLE: Tensor, bias_BXQL: Tensor) -> Tensor:
        """Return float32[B, Q, E], what each query reads from the sequence."""
        mixed_BQE = attend(
            self.query(queries_BQE), self.key(sequence_BLE), self.value(sequence_BLE), bias_BXQL, self.heads
        )
        read_BQE: Tensor = self.output(mixed_BQE)
        return read_BQE
