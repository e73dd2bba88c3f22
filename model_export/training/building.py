"""A fresh ranker for a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from app.contract.tensors import PADDING_ROW
from model_export.modeling.item_vectors import ItemVectors
from model_export.modeling.ranker import RankerShape, SequenceRanker
from model_export.modeling.sequence_encoder import EncoderShape

if TYPE_CHECKING:
    from app.contract.tensors import Float32Array, Int64Array
    from model_export.modeling.text_tower import TextTower
    from model_export.run_config import ModelConfig, RunConfig

REPEATS_FROM: Final = 0.005
"""Share of events whose user had the item before, from which on repeats are learned instead of ruled out."""

_UNRESOLVED: Final = "the configuration leaves sizes open, expected one that was resolved"


def build_ranker(
    config: RunConfig,
    *,
    text_vectors_NW: Float32Array,
    counts_N: Int64Array,
    actions: int,
    objectives: int,
    repeat_share: float,
    text_tower: TextTower | None = None,
) -> SequenceRanker:
    """Return an untrained ranker; its random weights come from torch's generator.

    Args:
        config: Resolved.
        text_vectors_NW: ``float32[N, W]`` whitened text vectors, row 1 first.
        counts_N: ``int64[N + 1]`` training events of each row.
        actions: How many kinds of events there are.
        objectives: How many outcomes of an event there are.
        repeat_share: Share of events whose user had the item before.
        text_tower: Where the text encoder learns, too.
    """
    model = config.model
    if model.width is None or model.blocks is None or model.dropout is None or model.history_length is None:
        raise ValueError(_UNRESOLVED)
    encoder_shape = EncoderShape(model.width, model.blocks, model.heads, model.dropout, use_time=bool(model.use_time))
    shape = RankerShape(
        encoder=model.encoder,
        encoder_shape=encoder_shape,
        history_length=model.history_length,
        actions=actions,
        objectives=objectives,
        interests=model.interests,
        repeats=repeat_share >= REPEATS_FROM,
    )
    return SequenceRanker(shape, _item_vectors(model, text_vectors_NW, counts_N), text_tower)


def _item_vectors(model: ModelConfig, text_vectors_NW: Float32Array, counts_N: Int64Array) -> ItemVectors:
    """Return fresh item vectors; popularity begins at the centred log of the training events."""
    if model.vector_width is None or model.delta_bound is None:
        raise ValueError(_UNRESOLVED)
    known_N = counts_N > 0
    known_N[PADDING_ROW] = False
    log_counts = np.log(np.maximum(counts_N, 1))
    centre = log_counts[known_N].mean() if known_N.any() else 0.0
    return ItemVectors(
        torch.from_numpy(np.concatenate([np.zeros((1, text_vectors_NW.shape[1]), np.float32), text_vectors_NW])),
        torch.from_numpy(np.where(known_N, log_counts - centre, 0.0).astype(np.float32)),
        torch.from_numpy(known_N),
        width=model.vector_width,
        delta_bound=model.delta_bound,
    )
