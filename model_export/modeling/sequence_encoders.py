"""The sequence encoders by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from model_export.modeling.recurrent import GRUEncoder, LSTMEncoder
from model_export.modeling.transformer import TransformerEncoder

if TYPE_CHECKING:
    from torch import nn

    from model_export.modeling.sequence_encoder import EncoderShape

_ENCODERS: Final[dict[str, type[nn.Module]]] = {
    "transformer": TransformerEncoder,
    "gru": GRUEncoder,
    "lstm": LSTMEncoder,
}
ENCODERS: Final = tuple(_ENCODERS)


def build_sequence_encoder(name: str, shape: EncoderShape) -> Any:
    """Return a module that satisfies `model_export.modeling.sequence_encoder.SequenceEncoder`.

    Raises:
        ValueError: If there is no encoder of that name.
    """
    if name not in _ENCODERS:
        raise ValueError(f"there is no sequence encoder {name!r}, expected one of {', '.join(_ENCODERS)}")
    return _ENCODERS[name](shape)
