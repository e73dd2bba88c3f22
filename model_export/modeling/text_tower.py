"""The text half of the ranker: token ids in, whitened text vectors out."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import torch
from torch import Tensor, nn

from model_export.modeling.encoder_loading import EncoderError
from model_export.modeling.text_tokens import TextTokens, length_buckets

if TYPE_CHECKING:
    from app.contract.tensors import Int64Array
    from model_export.modeling.encoder_loading import TextEncoder
    from model_export.modeling.text_whitening import Whitening

TextMode = Literal["frozen", "lora", "full"]
TEXT_MODES: Final = ("frozen", "lora", "full")

_TOKENS_PER_CHUNK: Final = 4096


def mean_over_tokens(hidden_NTX: Tensor, attention_mask_NT: Tensor) -> Tensor:
    """Return float32[N, hidden], the mean over the tokens that the mask keeps; 0 for a row that is all padding."""
    weights_NT1 = attention_mask_NT.to(hidden_NTX.dtype).unsqueeze(-1)
    return (hidden_NTX * weights_NT1).sum(dim=1) / weights_NT1.sum(dim=1).clamp(min=1.0)


class TextTower(nn.Module):
    """``(input_ids int64[N, T], attention_mask int64[N, T]) -> float32[N, W]``: encoder, mean pooling, whitening.

    The mode says what is trained: ``frozen`` nothing, ``lora`` low-rank additions to every linear layer of the encoder
    (Hu et al. 2021, through peft), ``full`` the whole encoder. The whitening is never trained. A frozen encoder stays
    in evaluation mode whatever `train` is called with, so its vectors can be computed once.

    Args:
        encoder: What `load_encoder` gave; its module becomes part of this one.
        whitening: From `whitened_text_vectors`.
        mode: One of `TEXT_MODES`.
        lora_rank: Rank of the additions in ``lora`` mode.
    """

    def __init__(
        self, encoder: TextEncoder, whitening: Whitening, *, mode: TextMode = "frozen", lora_rank: int = 8
    ) -> None:
        super().__init__()
        self.mode = mode
        self.encoder: Any = _trainable_encoder(encoder.model, mode, lora_rank)
        self.projection: Tensor
        self.offset: Tensor
        self.register_buffer("projection", torch.from_numpy(whitening.projection.copy()))
        self.register_buffer("offset", torch.from_numpy(whitening.offset.copy()))

    @property
    def width(self) -> int:
        """W."""
        return int(self.offset.shape[0])

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return float32[N, W]."""
        hidden_NTX = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return mean_over_tokens(hidden_NTX, attention_mask) @ self.projection + self.offset

    def train(self, mode: bool = True) -> TextTower:
        """Switch dropout on or off; a frozen encoder has none."""
        return super().train(mode and self.mode != "frozen")

    def encode_rows(
        self, tokens: TextTokens, positions: Int64Array, *, tokens_per_chunk: int = _TOKENS_PER_CHUNK
    ) -> Tensor:
        """Return float32[n, W] of some texts, with gradients where the mode trains the encoder.

        Texts of similar length go through the encoder together; the result is in the order of ``positions``.

        Args:
            tokens: The tokenised catalogue.
            positions: ``int64[n]`` positions in ``tokens``, best without repetition.
            tokens_per_chunk: Texts times padded length of one pass through the encoder.
        """
        lengths_n = tokens.lengths[positions]
        chunks = list(length_buckets(lengths_n, tokens_per_batch=tokens_per_chunk))
        if not chunks:
            return self.offset.new_empty((0, self.width))
        vectors = [self._encode_chunk(tokens, positions[chunk]) for chunk in chunks]
        original_order = torch.from_numpy(np.argsort(np.concatenate(chunks), kind="stable"))
        return torch.cat(vectors)[original_order.to(self.offset.device)]

    def _encode_chunk(self, tokens: TextTokens, positions: Int64Array) -> Tensor:
        input_ids, attention_mask = (
            torch.from_numpy(array).to(self.offset.device) for array in tokens.batch(positions)
        )
        encoded: Tensor = self(input_ids, attention_mask)
        return encoded

    def merge_lora(self) -> None:
        """Fold the low-rank additions into the encoder's weights, for export; nothing to do in the other modes."""
        if self.mode == "lora" and hasattr(self.encoder, "merge_and_unload"):
            self.encoder = self.encoder.merge_and_unload()


def _trainable_encoder(model: Any, mode: TextMode, lora_rank: int) -> Any:
    if mode not in TEXT_MODES:
        raise EncoderError(f"the text mode is {mode!r}, expected one of {', '.join(TEXT_MODES)}")
    model.requires_grad_(mode == "full")
    if mode != "lora":
        return model
    from peft import LoraConfig, get_peft_model

    settings = LoraConfig(r=lora_rank, lora_alpha=2 * lora_rank, lora_dropout=0.05, target_modules="all-linear")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
        return get_peft_model(model, settings)
