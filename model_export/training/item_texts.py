"""The text side of a run: whitened vectors of the catalogue, and the tower that makes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import AutoTokenizer

from model_export.modeling.encoder_loading import load_encoder, quiet_transformers
from model_export.modeling.text_tokens import tokenize
from model_export.modeling.text_tower import TextTower
from model_export.modeling.text_vectors import whitened_text_vectors
from model_export.training.weights_file import full_disk_said

if TYPE_CHECKING:
    import torch

    from app.contract.tensors import Float32Array, Int64Array
    from model_export.modeling.encoder_loading import TextEncoder
    from model_export.modeling.text_tokens import TextTokens
    from model_export.modeling.text_whitening import Whitening
    from model_export.run_config import TextConfig


@dataclass(frozen=True, slots=True)
class ItemTexts:
    """What the ranker knows of the items' texts.

    Attributes:
        texts: N texts, row 1 first.
        vectors_NW: ``float32[N, W]``, whitened.
        whitening: What whitened them.
        config: Where the encoder comes from and whether it learns.
    """

    texts: list[str]
    vectors_NW: Float32Array
    whitening: Whitening
    config: TextConfig

    def tower(self) -> TextTower:
        """Return a tower with pretrained weights, in the configured mode."""
        mode: Any = self.config.mode
        return TextTower(text_encoder(self.config), self.whitening, mode=mode, lora_rank=self.config.lora_rank)

    def tokens(self) -> TextTokens:
        """Return the tokenised texts."""
        return tokenize(self.texts, text_encoder(self.config).tokenizer)


def text_encoder(config: TextConfig) -> TextEncoder:
    """Load the configured encoder."""
    folder = Path(config.encoder)
    source = None if not config.encoder else (folder if folder.is_dir() else config.encoder)
    return load_encoder(source, max_tokens=config.max_tokens)


def save_text_encoder(tower: TextTower, config: TextConfig, folder: Path) -> None:
    """Write a fine-tuned encoder and its tokenizer as a folder that `load_encoder` reads."""
    tower.merge_lora()
    with full_disk_said(folder), quiet_transformers():
        tower.encoder.save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(text_encoder(config).folder)
    tokenizer.save_pretrained(folder)


def encode_item_texts(
    texts: list[str], config: TextConfig, *, cache_folder: Path, known_positions: Int64Array, device: torch.device
) -> ItemTexts:
    """Encode and whiten the texts of a catalogue; encoded vectors are kept in ``cache_folder``.

    Args:
        texts: N texts, row 1 first.
        config: The encoder.
        cache_folder: Where vectors are kept for the next run on the same texts.
        known_positions: ``int64[n]`` positions of the items with training events, which alone shape the whitening.
        device: Where the encoder runs.
    """
    fit_positions = known_positions if len(known_positions) else None
    vectors_NW, whitening = whitened_text_vectors(
        texts, text_encoder(config), cache_folder, width=config.width, fit_positions=fit_positions, device=device
    )
    return ItemTexts(texts, vectors_NW, whitening, config)
