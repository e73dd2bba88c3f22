"""Running a transformers encoder on the real tokens of a padded batch alone, in a form that exports well."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from model_export.modeling.encoder_loading import first_position

if TYPE_CHECKING:
    from collections.abc import Callable

_ATTENTION: Final = "seqrank_packed"

ENCODER_LINEAR_SUFFIX: Final = ".source.weight"
"""What the names of the weights of an encoder's linear layers end with in the exported graph."""


@dataclass(frozen=True, slots=True)
class TokenLayout:
    """Where the R real tokens of a padded batch of N texts of T tokens lie.

    The first token of every text counts as real, so that an empty text has something to attend to.

    Attributes:
        rows_R: int64[R] position of each real token in the flattened batch, ascending.
        row_of_NT: int64[N, T] the inverse; a padding position points at some real token.
        steps_R: int64[R] position of each real token in its text.
        mask_N1TT: bool[N, 1, T, T]: may a position see another one?
    """

    rows_R: Tensor
    row_of_NT: Tensor
    steps_R: Tensor
    mask_N1TT: Tensor

    @staticmethod
    def of(attention_mask_NT: Tensor) -> TokenLayout:
        """Lay out a batch."""
        texts, width = attention_mask_NT.shape
        steps_T = torch.arange(width, device=attention_mask_NT.device)
        keep_NT = (attention_mask_NT != 0) | (steps_T == 0)
        rows_R = torch.nonzero(keep_NT.reshape(-1)).squeeze(1)
        row_of = (torch.cumsum(keep_NT.reshape(-1).to(torch.int64), dim=0) - 1).reshape(texts, width)
        mask_N1TT = keep_NT[:, None, None, :].expand(texts, 1, width, width)
        steps_R = steps_T.expand(texts, width).reshape(-1)[rows_R]
        return TokenLayout(rows_R, row_of, steps_R, mask_N1TT)


class PackedEncoder(nn.Module):
    """Stands in for a transformers encoder and gives the same hidden states, computing nothing for padding.

    All real tokens of the batch go through the encoder's layers as one text of R tokens; attention alone unpacks them
    into N texts. This is what FlashAttention's variable-length mode does, written with gathers that every execution
    provider has. Hidden states of padding positions are arbitrary but finite.

    Args:
        encoder: A transformers encoder whose attention goes through `transformers.AttentionInterface`. It is changed.
        half: Run it in FP16; what leaves it is float32 all the same.
    """

    def __init__(self, encoder: Any, *, half: bool = False) -> None:
        super().__init__()
        from transformers import AttentionInterface

        AttentionInterface.register(_ATTENTION, _packed_attention)
        encoder.config._attn_implementation = _ATTENTION  # noqa: SLF001 -- the setter refuses names it does not know
        flatten_row_wise_modules(encoder)
        self.encoder = encoder.half() if half else encoder
        self.config = encoder.config

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **_: object) -> Any:
        """Return an output with ``last_hidden_state`` float32[N, T, hidden]."""
        global _layout  # noqa: PLW0603 -- the attention interface has no other way to hand it down
        _layout = TokenLayout.of(attention_mask)
        output = self.encoder(
            input_ids=input_ids.reshape(-1)[_layout.rows_R].unsqueeze(0),
            position_ids=(_layout.steps_R + first_position(self.config)).unsqueeze(0),
        )
        rows_RX = output.last_hidden_state.squeeze(0).float()
        output.last_hidden_state = functional.embedding(_layout.row_of_NT, rows_RX)
        _layout = None
        return output


_layout: TokenLayout | None = None


def _packed_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: object, **options: Any
) -> tuple[Tensor, None]:
    """Attend inside each text; query, key, value and result are of one packed text, [1, heads, R, width]."""
    del module, attention_mask
    layout = _layout
    if layout is None:
        raise RuntimeError("packed attention runs inside PackedEncoder only")
    heads, width = query.shape[1], query.shape[3]
    q_NTX, k_NTX, v_NTX = (functional.embedding(layout.row_of_NT, _rows(states)) for states in (query, key, value))
    attended_NTX, *_ = torch.onnx.ops.attention(
        q_NTX,
        k_NTX,
        v_NTX,
        _visible(layout, options.get("sliding_window")),
        q_num_heads=heads,
        kv_num_heads=key.shape[1],
        scale=options.get("scaling"),
    )
    rows_RX = functional.embedding(layout.rows_R, attended_NTX.reshape(-1, attended_NTX.shape[-1]))
    return rows_RX.reshape(1, -1, heads, width), None


def _rows(states_1HRK: Tensor) -> Tensor:
    """Return [R, heads * width]: the rows that the projections gave before they were viewed as heads."""
    return states_1HRK.transpose(1, 2).reshape(states_1HRK.shape[2], -1)


def _visible(layout: TokenLayout, sliding_window: int | None) -> Tensor:
    if not sliding_window:
        return layout.mask_N1TT
    steps_T = torch.arange(layout.mask_N1TT.shape[-1], device=layout.mask_N1TT.device)
    near_TT = (steps_T[:, None] - steps_T[None, :]).abs() < sliding_window
    return layout.mask_N1TT & near_TT


class _FlatLinear(nn.Module):
    """A linear layer that sees two axes, which exports as one Gemm instead of MatMul and Add."""

    def __init__(self, source: nn.Linear) -> None:
        super().__init__()
        self.source = source

    def forward(self, states: Tensor) -> Tensor:
        rows = functional.linear(states.reshape(-1, self.source.in_features), self.source.weight, self.source.bias)
        return rows.reshape(*states.shape[:-1], self.source.out_features)


class _FlatLayerNorm(nn.Module):
    """A layer norm that sees two axes.

    ONNX Runtime turns a sum followed by LayerNormalization over three axes into SkipLayerNormalization, whose CPU
    kernel is not vectorised: on MiniLM it takes several times as long as the two nodes that it replaces.
    """

    def __init__(self, source: nn.LayerNorm) -> None:
        super().__init__()
        self.source = source

    def forward(self, states: Tensor) -> Tensor:
        normalised: Tensor = self.source(states.reshape(-1, states.shape[-1]))
        return normalised.reshape(states.shape)


def flatten_row_wise_modules(module: nn.Module) -> None:
    """Replace the linear layers and layer norms inside ``module`` by ones that compute on two axes."""
    for name, child in list(module.named_children()):
        if type(child) is nn.Linear:
            setattr(module, name, _FlatLinear(child))
        elif type(child) is nn.LayerNorm:
            setattr(module, name, _FlatLayerNorm(child))
        else:
            flatten_row_wise_modules(child)


def packed_copy(module: nn.Module, *, half: bool = False) -> nn.Module:
    """Return a copy of a module whose transformers encoder runs packed, in FP16 if ``half``; the original stays.

    Raises:
        ValueError: If there is no transformers encoder in it.
    """
    return _copy_with(module, lambda encoder: PackedEncoder(encoder, half=half))


class _PaddedEncoder(nn.Module):
    """An encoder that computes padding too, for those that `PackedEncoder` cannot run; see there."""

    def __init__(self, encoder: Any, *, half: bool) -> None:
        super().__init__()
        flatten_row_wise_modules(encoder)
        self.encoder = encoder.half() if half else encoder

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **_: object) -> Any:
        """Return an output with ``last_hidden_state`` float32[N, T, hidden]."""
        output = self.encoder(input_ids=input_ids, attention_mask=attention_mask)
        output.last_hidden_state = output.last_hidden_state.float()
        return output


def padded_copy(module: nn.Module, *, half: bool = False) -> nn.Module:
    """Return a copy of a module whose encoder computes padding too; see `packed_copy`."""
    return _copy_with(module, lambda encoder: _PaddedEncoder(encoder, half=half))


def _copy_with(module: nn.Module, stand_in: Callable[[nn.Module], nn.Module]) -> nn.Module:
    """Return a copy of a module with something else in the place of its transformers encoder."""
    from transformers import PreTrainedModel

    changed = copy.deepcopy(module)
    for parent in changed.modules():
        for name, child in parent.named_children():
            if isinstance(child, PreTrainedModel):
                setattr(parent, name, stand_in(child))
                return changed
    raise ValueError(f"{type(module).__name__} holds no transformers encoder")
