"""Tiny random encoders of each architecture, written as folders like those of the hub."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

if TYPE_CHECKING:
    from pathlib import Path

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LATIN = [*"abcdefghijklmnopqrstuvwxyz"] + [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
CHINESE = [*"中文游戏手机电视红色的新大小"]


def write_encoder(folder: Path, architecture: str = "bert", *, letters: list[str] = LATIN, slow: bool = False) -> Path:
    """Write a two-layer encoder, 32 wide, with 40 positions; ``slow`` leaves the tokenizer at a bare vocab.txt."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = SPECIAL + letters
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _model(architecture, len(vocabulary)).save_pretrained(folder)
        (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", "utf-8")
        if not slow:
            _tokenizer(vocabulary).save_pretrained(folder)
    return folder


def _model(architecture: str, size: int) -> transformers.PreTrainedModel:
    shared = {
        "vocab_size": size, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
        "intermediate_size": 64, "max_position_embeddings": 40, "pad_token_id": 0,
    }  # fmt: skip
    if architecture == "bert":
        return transformers.BertModel(transformers.BertConfig(**shared))
    if architecture == "roberta":
        return transformers.RobertaModel(transformers.RobertaConfig(**shared))
    if architecture == "distilbert":
        config = {"vocab_size": size, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64}
        return transformers.DistilBertModel(transformers.DistilBertConfig(**config, max_position_embeddings=40))
    ends = {"bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
    window = {"local_attention": 8, "global_attn_every_n_layers": 2}
    return transformers.ModernBertModel(transformers.ModernBertConfig(**shared, **ends, **window))


def _tokenizer(vocabulary: list[str]) -> transformers.PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.WordPiece({word: row for row, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, mask_token="[MASK]", **names)
