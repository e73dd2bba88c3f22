"""The trained module in FP32 on the CPU: what every exported graph is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from tokenizers import Tokenizer

from app.contract.item_text import plain_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from app.contract.tensors import Float32Array, HistoryBatch, Int64Array
    from model_export.modeling.ranker import SequenceRanker


class ReferenceModel:
    """Scores and encodes with PyTorch.

    Args:
        ranker: The trained module.
        tokenizer: The ``tokenizer.json`` that the bundle gets.
        max_tokens: T, where longer texts are cut.

    Attributes:
        ranker: The module, in evaluation mode, FP32, on the CPU.
        table_ND: ``float32[N + 1, D]``, its item table.
    """

    def __init__(self, ranker: SequenceRanker, tokenizer: Path, *, max_tokens: int) -> None:
        self.ranker = ranker.eval().float().cpu()
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.enable_truncation(max_length=max_tokens)
        self._tokenizer.no_padding()
        with torch.inference_mode():
            self._table = self.ranker.item_table()
        self.table_ND: Float32Array = self._table.numpy()

    def score(self, history: HistoryBatch, candidate_rows_BC: Int64Array) -> Float32Array:
        """Return ``float32[B, C]`` of `SequenceRanker.score` with all objective weights 1."""
        weights = torch.ones(1, self.ranker.shape.objectives)
        with torch.inference_mode():
            scores = self.ranker.score(self._table, *_as_tensors(history), torch.from_numpy(candidate_rows_BC), weights)
        found: Float32Array = scores.numpy()
        return found

    def score_catalog(self, history: HistoryBatch) -> Float32Array:
        """Return ``float32[B, N + 1]`` of `SequenceRanker.score_catalog`."""
        with torch.inference_mode():
            found: Float32Array = self.ranker.score_catalog(self._table, *_as_tensors(history)).numpy()
        return found

    def encode(self, texts: Sequence[str]) -> Float32Array:
        """Return ``float32[N, D]``, the text parts of items, by `SequenceRanker.encode_texts`."""
        vectors = [self._encode_one(text) for text in texts]
        return np.concatenate(vectors) if vectors else np.empty((0, self.table_ND.shape[1]), np.float32)

    def _encode_one(self, text: str) -> Float32Array:
        """Return ``float32[1, D]``, made without any padding, so that nothing but the text is compared."""
        input_ids = torch.tensor([self._tokenizer.encode(plain_text(text)).ids or [0]], dtype=torch.int64)
        with torch.inference_mode():
            found: Float32Array = self.ranker.encode_texts(input_ids, torch.ones_like(input_ids)).numpy()
        return found


def _as_tensors(history: HistoryBatch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return (
        torch.from_numpy(history.rows_BH),
        torch.from_numpy(history.actions_BH),
        torch.from_numpy(history.age_s_BH),
    )
