"""A fit that is about to begin: seeded weights, rows, loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from model_export.training.building import build_ranker
from model_export.training.fit import Fit
from model_export.training.losses import CatalogSoftmax
from model_export.training.newcomers import newcomers
from model_export.training.precision import product_dtype
from model_export.training.sampled_softmax import NegativeSampler
from model_export.training.step import BatchLoss
from model_export.training.text_training import TextTraining
from model_export.training.training_rows import EventLabels, training_rows

if TYPE_CHECKING:
    from app.contract.tensors import Int64Array
    from model_export.modeling.ranker import SequenceRanker
    from model_export.modeling.text_tower import TextTower
    from model_export.run_config import RunConfig
    from model_export.training.arrivals import Arrivals
    from model_export.training.distribution import Distribution
    from model_export.training.material import TrainingMaterial


def fresh_ranker(
    material: TrainingMaterial, config: RunConfig, phase: str, *, text_tower: TextTower | None = None
) -> SequenceRanker:
    """Return an untrained ranker for a phase; its random weights come from torch's generator."""
    return build_ranker(
        config,
        text_vectors_NW=material.texts.vectors_NW,
        counts_N=material.counts(phase),
        actions=len(material.data.actions),
        objectives=len(material.outcomes.names),
        repeat_share=material.statistics.repeat_share,
        text_tower=text_tower,
    )


def fresh_fit(
    material: TrainingMaterial, config: RunConfig, phase: str, *, device: torch.device, distribution: Distribution
) -> tuple[Fit, TextTraining | None]:
    """Seed everything and return what trains the phase, and what trains the text encoder where it learns."""
    torch.manual_seed(config.seed)
    learns_text = config.text.mode != "frozen"
    tower = material.texts.tower() if learns_text else None
    model = fresh_ranker(material, config, phase, text_tower=tower).to(device)
    text = None
    if tower is not None:
        text = TextTraining(tower, material.texts.tokens(), model.items, config.text.items_per_step)
    came = material.arrivals(phase)
    starts, ends = material.data.user_offsets[:-1], material.ends(phase)
    fit = Fit(
        model=model,
        data=material.data,
        rows=training_rows(starts, ends, model.shape.history_length),
        labels=EventLabels(material.outcomes.of_events, came.available_E),
        newcomers=newcomers(material, phase),
        batch_loss=_batch_loss(
            config, material.counts(phase), came, repeats=model.shape.repeats, text=text, device=device
        ),
        config=config,
        distribution=distribution,
    )
    torch.manual_seed(config.seed + distribution.rank)
    return fit, text


def _batch_loss(
    config: RunConfig,
    counts_N: Int64Array,
    came: Arrivals,
    *,
    repeats: bool,
    text: TextTraining | None,
    device: torch.device,
) -> BatchLoss:
    """Return the loss over all items, or over a sample of a large catalogue."""
    item_count = len(counts_N) - 1
    softmax = CatalogSoftmax.over(
        torch.from_numpy(came.rows_A).to(device),
        torch.from_numpy(came.offsets_A).to(device),
        item_count,
        repeats=repeats,
        dtype=product_dtype(config.training.precision, device),
    )
    is_large = item_count > config.training.full_softmax_items
    sampler = NegativeSampler(torch.from_numpy(counts_N).to(device), config.training.negatives) if is_large else None
    return BatchLoss(
        softmax=softmax,
        sampler=sampler,
        id_dropout=config.model.id_dropout,
        objective_weight=config.training.objective_weight,
        text=text,
    )
