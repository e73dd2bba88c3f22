"""What the ranker asks of a sequence encoder, and which there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class EncoderShape:
    """Size and regularisation of a sequence encoder.

    Attributes:
        width: E.
        blocks: Layers.
        heads: X; of attention only.
        dropout: Of every layer's output, 0..1.
        use_time: Whether ages mean something.
    """

    width: int
    blocks: int
    heads: int
    dropout: float
    use_time: bool


class SequenceEncoder(Protocol):
    """Reads a sequence causally: the state of a position depends on nothing after it."""

    def __call__(self, inputs_BLE: Tensor, age_BL: Tensor) -> Tensor:
        """Return float32[B, L, E], the state after each position; for training."""

    def last_state(self, inputs_BLE: Tensor, age_BL: Tensor, last_B: Tensor) -> Tensor:
        """Return float32[B, E], the state after position ``last_B``, for less work than all states; for serving."""
