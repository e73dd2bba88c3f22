"""The loss of one batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor
from torch.nn import functional

from model_export.training.losses import CatalogSoftmax, Predictions, SoftmaxLoss
from model_export.training.sampled_softmax import NegativeSampler, SampledSoftmax
from model_export.training.seen_pairs import seen_pairs

if TYPE_CHECKING:
    from model_export.modeling.ranker import SequenceRanker
    from model_export.modeling.read_out import UserState
    from model_export.training.text_training import TextTraining
    from model_export.training.training_rows import TrainingBatch

NORMALISER_WEIGHT: Final = 0.1
"""Of the squared error of the predicted log-normaliser; it reads detached states, so this is only its learning rate."""

_SETTLED_SHARE: Final = 0.9
"""Of the items that must have been there for a sum over them to stand for today's catalogue."""


@dataclass(frozen=True, slots=True)
class StepLoss:
    """What one batch costs.

    Attributes:
        total: float32[], what is differentiated.
        ranking: Its cross-entropy part, mean over predictions.
        predictions: How many.
    """

    total: Tensor
    ranking: float
    predictions: int


@dataclass(frozen=True, slots=True)
class BatchLoss:
    """Computes the loss of a batch, with the full or a sampled softmax.

    Attributes:
        softmax: For catalogues in which every item is in every softmax.
        sampler: For larger ones; None for the full softmax.
        id_dropout: Share of items without their delta in a step.
        objective_weight: Of the outcome heads' cross-entropy.
        text: Where the text encoder learns, too.
    """

    softmax: CatalogSoftmax
    sampler: NegativeSampler | None
    id_dropout: float
    objective_weight: float
    text: TextTraining | None = None

    def __call__(self, model: SequenceRanker, batch: TrainingBatch) -> StepLoss:
        """Return the loss of a batch with at least one target."""
        if self.sampler is None:
            fresh = None if self.text is None else self.text.fresh(batch.targets_BL)
            table_ND = model.items(id_dropout=self.id_dropout, fresh_text=fresh)
            return self._loss(model, batch, table_ND, self.softmax)
        negatives, log_expected_M = self.sampler.draw()
        needed = torch.unique(torch.cat([negatives, batch.rows_BH.flatten(), batch.targets_BL.flatten()]))
        needed = needed if int(needed[0]) == 0 else torch.cat([torch.zeros_like(needed[:1]), needed])
        fresh = None if self.text is None else self.text.fresh(batch.targets_BL, among=needed)
        table_ND = model.items(rows=needed, id_dropout=self.id_dropout, fresh_text=fresh)
        sampled = SampledSoftmax(
            torch.searchsorted(needed, negatives),
            log_expected_M,
            self.softmax.column_N[negatives],
            self.softmax.offsets_of(needed),
            self.softmax.repeats,
        )
        return self._loss(model, batch.with_rows_among(needed), table_ND, sampled)

    def _loss(
        self, model: SequenceRanker, batch: TrainingBatch, table_ND: Tensor, softmax: CatalogSoftmax | SampledSoftmax
    ) -> StepLoss:
        states = model.user_states(table_ND, batch.rows_BH, batch.actions_BH, batch.age_s_BH)
        predicts_BL = batch.targets_BL > 0
        predictions = Predictions(
            states.interests[predicts_BL],
            states.log_shares[predicts_BL],
            batch.targets_BL[predicts_BL],
            batch.available_BL[predicts_BL],
            *seen_pairs(batch.rows_BH, predicts_BL),
        )
        ranking: SoftmaxLoss = softmax(predictions, table_ND, model.repeat_logit)
        error_P = states.log_normaliser[predicts_BL] - ranking.log_sum
        settled_P = predictions.available >= _SETTLED_SHARE * len(self.softmax.rows_A)
        normaliser_loss = (error_P.square() * settled_P).sum() / settled_P.sum().clamp(min=1)
        total = ranking.loss + NORMALISER_WEIGHT * normaliser_loss
        if model.shape.objectives > 1:
            total = total + self.objective_weight * _outcome_loss(states, batch, predicts_BL, table_ND)
        return StepLoss(total, float(ranking.loss.detach()), len(error_P))


def _outcome_loss(states: UserState, batch: TrainingBatch, predicts_BL: Tensor, table_ND: Tensor) -> Tensor:
    """Cross-entropy of the outcome of each target; items are detached: the head describes, it does not shape."""
    items_PD1 = table_ND.detach()[batch.targets_BL[predicts_BL]].unsqueeze(-1)
    logits_PO = torch.matmul(states.outcomes[predicts_BL], items_PD1).squeeze(-1)
    return functional.cross_entropy(logits_PO, batch.outcomes_BL[predicts_BL])
