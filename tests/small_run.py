"""A run that was never trained: a small ranker over a small random BERT, its data and its split, made in a second."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import torch
from transformers import BertConfig, BertModel

from model_export.data.dataset import Dataset
from model_export.data.splits import leave_one_out
from model_export.modeling.encoder_loading import load_encoder
from model_export.modeling.item_vectors import ItemVectors
from model_export.modeling.ranker import RankerShape, SequenceRanker
from model_export.modeling.sequence_encoder import EncoderShape
from model_export.modeling.text_tokens import tokenize
from model_export.modeling.text_tower import TextTower
from model_export.modeling.text_whitening import Whitening
from model_export.run_config import RunConfig, TrainingConfig
from model_export.training.outcomes import outcomes_of
from model_export.training.trained_run import TrainedRun

if TYPE_CHECKING:
    from pathlib import Path

ITEMS = 60
USERS = 40
MAX_TOKENS = 12
WORDS = ("red", "green", "blue", "shoes", "books", "games", "garden", "old", "new", "number")


def small_run(folder: Path) -> TrainedRun:
    """Return a run whose files (the encoder's) lie in ``folder``."""
    torch.manual_seed(11)
    data = small_dataset()
    encoder = load_encoder(write_bert(folder / "bert"), max_tokens=MAX_TOKENS)
    random = np.random.default_rng(4)
    whitening = Whitening(
        random.normal(0, 0.3, (encoder.hidden_width, 24)).astype(np.float32), np.zeros(24, np.float32)
    )
    tower = TextTower(encoder, whitening)
    with torch.inference_mode():
        vectors = tower.encode_rows(tokenize(data.item_texts(), encoder.tokenizer), np.arange(ITEMS))
    known = torch.ones(ITEMS + 1, dtype=torch.bool)
    items = ItemVectors(
        torch.cat([torch.zeros(1, 24), vectors.clone()]), torch.randn(ITEMS + 1), known, width=16, delta_bound=0.5
    )
    size = EncoderShape(width=32, blocks=2, heads=2, dropout=0.1, use_time=True)
    outcomes = outcomes_of(data)
    shape = RankerShape("transformer", size, 10, len(data.actions), len(outcomes.names), 1, repeats=False)
    model = SequenceRanker(shape, items, tower).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not name.startswith("text_tower."):
                parameter.add_(torch.randn_like(parameter) * 0.1)
    split = leave_one_out(data)
    config = RunConfig(training=TrainingConfig(refit=False))
    return TrainedRun(config, data, split, model, outcomes, encoder.folder, encoder.max_tokens)


def small_dataset() -> Dataset:
    """Return clicks and purchases of users who each like one kind of item."""
    random = np.random.default_rng(8)
    lengths = random.integers(3, 14, USERS)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    rows = np.concatenate([random.permutation(ITEMS)[:length] + 1 for length in lengths])
    times = np.concatenate([np.sort(random.integers(0, 10**9, length)) for length in lengths])
    texts = [f"{WORDS[row % 3]} {WORDS[3 + row % 4]} {WORDS[7 + row % 2]} number" for row in range(1, ITEMS + 1)]
    return Dataset(
        items=pa.table({"item_id": [f"i{row}" for row in range(1, ITEMS + 1)], "text": texts}),
        user_ids=[f"u{user}" for user in range(USERS)],
        actions=("click", "purchase"),
        user_offsets=offsets,
        rows=rows.astype(np.int64),
        action_ids=(random.random(len(rows)) < 0.2).astype(np.int64),
        timestamps_ms=times.astype(np.int64),
        ratings=np.full(len(rows), np.nan, np.float32),
        fingerprint="made by small_run",
    )


def write_bert(folder: Path) -> Path:
    """Write a random BERT of two small layers with a vocabulary of its own."""
    folder.mkdir(parents=True)
    letters = [*"abcdefghijklmnopqrstuvwxyz0123456789", *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=32, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    return folder
