"""The transformer sequence encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional

from model_export.modeling.attention import MultiHeadAttention
from model_export.modeling.fast_dropout import FastDropout
from model_export.modeling.gathering import take_position
from model_export.modeling.pairwise_bias import PairwiseBias

if TYPE_CHECKING:
    from model_export.modeling.sequence_encoder import EncoderShape


class TransformerBlock(nn.Module):
    """Pre-norm attention, then a pre-norm network of two layers."""

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(shape.width)
        self.attention = MultiHeadAttention(shape.width, shape.heads)
        self.norm_network = nn.LayerNorm(shape.width)
        self.expand = nn.Linear(shape.width, 2 * shape.width)
        self.contract = nn.Linear(2 * shape.width, shape.width)
        self.dropout = FastDropout(shape.dropout)

    def forward(self, sequence_BLE: Tensor, bias_BXLL: Tensor) -> Tensor:
        """Return float32[B, L, E], the new state of every position."""
        normed_BLE = self.norm_attention(sequence_BLE)
        return self._after_attention(sequence_BLE, self.attention(normed_BLE, normed_BLE, bias_BXLL))

    def only(self, sequence_BLE: Tensor, bias_BX1L: Tensor, position_B: Tensor) -> Tensor:
        """Return float32[B, 1, E], the new state of one position of each sequence, without computing the others."""
        normed_BLE = self.norm_attention(sequence_BLE)
        read_B1E = self.attention(take_position(normed_BLE, position_B), normed_BLE, bias_BX1L)
        return self._after_attention(take_position(sequence_BLE, position_B), read_B1E)

    def _after_attention(self, asked_BQE: Tensor, read_BQE: Tensor) -> Tensor:
        state_BQE: Tensor = asked_BQE + self.dropout(read_BQE)
        hidden = functional.gelu(self.expand(self.norm_network(state_BQE)))
        changed_BQE: Tensor = self.dropout(self.contract(self.dropout(hidden)))
        return state_BQE + changed_BQE


class TransformerEncoder(nn.Module):
    """Causal pre-norm transformer with relative positions only, so that any length works."""

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.blocks = nn.ModuleList(TransformerBlock(shape) for _ in range(shape.blocks - 1))
        self.last_block = TransformerBlock(shape)
        self.bias = PairwiseBias(shape.heads * shape.blocks, use_time=shape.use_time)
        self.norm = nn.LayerNorm(shape.width)

    def forward(self, inputs_BLE: Tensor, age_BL: Tensor) -> Tensor:
        """Return float32[B, L, E], the state after each position."""
        *biases, last_bias = self.bias(age_BL).split(self.heads, dim=1)
        state_BLE = inputs_BLE
        for block, bias_BXLL in zip(self.blocks, biases, strict=True):
            state_BLE = block(state_BLE, bias_BXLL)
        normed_BLE: Tensor = self.norm(self.last_block(state_BLE, last_bias))
        return normed_BLE

    def last_state(self, inputs_BLE: Tensor, age_BL: Tensor, last_B: Tensor) -> Tensor:
        """Return float32[B, E], the state after position ``last_B``; the last block computes that query alone."""
        state_BLE = inputs_BLE
        below_last = len(self.blocks) * self.heads
        if below_last:
            biases = self.bias(age_BL)[:, :below_last].split(self.heads, dim=1)
            for block, bias_BXLL in zip(self.blocks, biases, strict=True):
                state_BLE = block(state_BLE, bias_BXLL)
        last_bias = self.bias.of_query(age_BL, last_B, slice(below_last, below_last + self.heads))
        normed_B1E: Tensor = self.norm(self.last_block.only(state_BLE, last_bias, last_B))
        return normed_B1E.squeeze(1)
