"""Small rankers of every kind with random weights, and requests for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from app.contract.encoding import EncodedHistory, pack_histories
from app.contract.tensors import RankingBatch
from model_export.modeling.item_vectors import ItemVectors
from model_export.modeling.ranker import RankerShape, SequenceRanker
from model_export.modeling.sequence_encoder import EncoderShape

if TYPE_CHECKING:
    from app.contract.tensors import Float32Array

ITEMS = 120
HISTORY_LENGTH = 20
ACTIONS = 3


def small_ranker(
    encoder: str = "transformer", *, blocks: int = 2, use_time: bool = True, interests: int = 1, objectives: int = 1,
    items: int = ITEMS,
) -> SequenceRanker:  # fmt: skip
    """Return a ranker in evaluation mode whose every parameter is away from its initial value."""
    torch.manual_seed(3)
    known = torch.ones(items + 1, dtype=torch.bool)
    known[0] = False
    vectors = ItemVectors(
        torch.cat([torch.zeros(1, 24), torch.randn(items, 24)]),
        torch.randn(items + 1),
        known,
        width=17,
        delta_bound=0.5,
    )
    size = EncoderShape(width=32, blocks=blocks, heads=2, dropout=0.1, use_time=use_time)
    shape = RankerShape(encoder, size, HISTORY_LENGTH, ACTIONS, objectives, interests, repeats=False)
    ranker = SequenceRanker(shape, vectors).eval()
    with torch.no_grad():
        for parameter in ranker.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return ranker


def requests_for(ranker: SequenceRanker, *, candidates: int = 40) -> RankingBatch:
    """Return five requests: cold, one event, some, all of one second, and a full history; candidates of every kind."""
    random = np.random.default_rng(5)
    items = len(ranker.items.known) - 1
    histories = []
    for count, spread in ((0, 1.0), (1, 1e3), (7, 1e6), (HISTORY_LENGTH, 0.0), (HISTORY_LENGTH, 3e8)):
        ages = np.sort(random.uniform(0, spread, count))[::-1].astype(np.float32)
        rows = random.integers(1, items + 1, count)
        histories.append(EncodedHistory(rows, random.integers(0, ACTIONS, count), ages))
    rows_BC = random.integers(1, items + 1, (len(histories), candidates))
    rows_BC[4, :5] = histories[4].rows_H[:5]
    return RankingBatch(pack_histories(histories), rows_BC)


def reference_scores(ranker: SequenceRanker, batch: RankingBatch, weights: Float32Array | None = None) -> Float32Array:
    """Return ``float32[B, C]`` by PyTorch."""
    given = np.ones((1, ranker.shape.objectives), np.float32) if weights is None else weights
    with torch.inference_mode():
        scores: Any = ranker.score(
            ranker.item_table(), *tensors_of(batch), torch.from_numpy(batch.candidate_rows_BC), torch.from_numpy(given)
        )
    found: Float32Array = scores.numpy()
    return found


def reference_catalog_scores(ranker: SequenceRanker, batch: RankingBatch) -> Float32Array:
    """Return ``float32[B, N + 1]`` by PyTorch."""
    with torch.inference_mode():
        found: Float32Array = ranker.score_catalog(ranker.item_table(), *tensors_of(batch)).numpy()
    return found


def tensors_of(batch: RankingBatch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the history as tensors."""
    history = batch.history
    return torch.from_numpy(history.rows_BH), torch.from_numpy(history.actions_BH), torch.from_numpy(history.age_s_BH)


def table_of(ranker: SequenceRanker) -> Float32Array:
    """Return ``float32[N + 1, D]``."""
    with torch.inference_mode():
        found: Float32Array = ranker.item_table().numpy()
    return found
