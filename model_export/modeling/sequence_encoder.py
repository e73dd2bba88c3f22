"""What the ranker asks of a sequence encoder, and the encoders by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from model_export.modeling.recurrent import GRUEncoder, LSTMEncoder
from model_export.modeling.transformer import TransformerEncoder

if TYPE_CHECKING:
    from torch import Tensor, nn

_ENCODERS: Final[dict[str, type[nn.Module]]] = {
    "transformer": TransformerEncoder,
    "gru": GRUEncoder,
    "lstm": LSTMEncoder,
}
ENCODERS: Final = tuple(_ENCODERS)


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


def build_sequence_encoder(name: str, shape: EncoderShape) -> Any:
    """Return a module that satisfies `SequenceEncoder`.

    Raises:
        ValueError: If there is no encoder of that name.
    """
    if name not in _ENCODERS:
        raise ValueError(f"there is no sequence encoder {name!r}, expected one of {', '.join(_ENCODERS)}")
    return _ENCODERS[name](shape)
