"""The recurrent sequence encoders: GRU and LSTM."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn

from model_export.modeling.fast_dropout import FastDropout
from model_export.modeling.gathering import take_position

if TYPE_CHECKING:
    from collections.abc import Callable

    from model_export.modeling.sequence_encoder import EncoderShape


class GRUEncoder(nn.Module):
    """Layers of GRU; ages reach it only through the gap that is part of each input."""

    kind: ClassVar[Callable[..., nn.Module]] = nn.GRU

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        between_layers = shape.dropout if shape.blocks > 1 else 0.0
        self.layers = self.kind(
            shape.width, shape.width, num_layers=shape.blocks, batch_first=True, dropout=between_layers
        )
        self.dropout = FastDropout(shape.dropout)
        self.norm = nn.LayerNorm(shape.width)

    def forward(self, inputs_BLE: Tensor, age_BL: Tensor) -> Tensor:  # noqa: ARG002 -- part of the interface
        """Return float32[B, L, E], the state after each position."""
        states_BLE: Tensor = self.layers(inputs_BLE)[0]
        normed_BLE: Tensor = self.norm(self.dropout(states_BLE))
        return normed_BLE

    def last_state(self, inputs_BLE: Tensor, age_BL: Tensor, last_B: Tensor) -> Tensor:
        """Return float32[B, E], the state after position ``last_B``."""
        return take_position(self(inputs_BLE, age_BL), last_B).squeeze(1)


class LSTMEncoder(GRUEncoder):
    """The same with LSTM."""

    kind = nn.LSTM
