"""Softmax over a sample of the catalogue, corrected for how the sample was drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import torch
from torch import Tensor

from model_export.training.losses import OUT, SoftmaxLoss

if TYPE_CHECKING:
    from model_export.training.losses import Predictions

_UNIFORM_SHARE: Final = 0.5
_POPULARITY_POWER: Final = 0.75


class NegativeSampler:
    """Draws items that a whole batch shares as negatives, half uniformly and half by popularity.

    Args:
        counts_N: int64[N + 1], training events of each row; rows without any are never drawn.
        size: How many draws.
    """

    def __init__(self, counts_N: Tensor, size: int) -> None:
        known = (counts_N > 0).to(torch.float64)
        known[0] = 0.0
        popular = counts_N.to(torch.float64).pow(_POPULARITY_POWER) * known
        chance_N = _UNIFORM_SHARE * known / known.sum() + (1.0 - _UNIFORM_SHARE) * popular / popular.sum()
        self._cumulative_N = chance_N.cumsum(0)
        self._log_expected_N = (chance_N * size).clamp(min=1e-300).log().float()
        self._size = size

    def draw(self) -> tuple[Tensor, Tensor]:
        """Return distinct rows (int64[M], ascending) and the log of how often each was to be expected (float32[M])."""
        points = torch.rand(self._size, dtype=torch.float64) * self._cumulative_N[-1]
        drawn, times = torch.unique(torch.searchsorted(self._cumulative_N, points), return_counts=True)
        return drawn, self._log_expected_N[drawn] - times.log()


class SampledSoftmax(NamedTuple):
    """Cross-entropy against shared negatives with the logQ correction (Bengio and Senécal 2008).

    Each negative stands for ``1 / expected count`` items, so that the sum of exponentials estimates that of the whole
    catalogue, and scores keep the meaning that the full softmax gives them.

    Attributes:
        negatives_M: int64[M] positions in the table of the batch, distinct.
        log_expected_M: float32[M].
        columns_M: int64[M], the negatives' places in the order of arrival.
        offset_N: float32[n], what is added to the logits of the batch's items.
        repeats: As in `model_export.training.losses.CatalogSoftmax`.
    """

    negatives_M: Tensor
    log_expected_M: Tensor
    columns_M: Tensor
    offset_N: Tensor
    repeats: bool

    def __call__(self, predictions: Predictions, items_ND: Tensor, repeat_logit: Tensor) -> SoftmaxLoss:
        """Return the loss; all rows of ``predictions`` are positions in ``items_ND``."""
        negatives_PKM = predictions.users @ items_ND[self.negatives_M].T
        logits_PM = torch.logsumexp(negatives_PKM + predictions.log_shares.unsqueeze(-1), dim=1)
        logits_PM = logits_PM + self.offset_N[self.negatives_M] - self.log_expected_M
        logits_PM = logits_PM + self._seen(predictions, len(items_ND), logits_PM.shape[1], repeat_logit)
        is_target_PM = predictions.targets.unsqueeze(1) == self.negatives_M
        is_absent_PM = self.columns_M >= predictions.available.unsqueeze(1)
        logits_PM = logits_PM.masked_fill(is_target_PM | is_absent_PM, OUT)
        targets_PK = (predictions.users * items_ND[predictions.targets].unsqueeze(1)).sum(dim=-1)
        target_P = torch.logsumexp(targets_PK + predictions.log_shares, dim=1) + self.offset_N[predictions.targets]
        if self.repeats:
            again = predictions.seen_rows == predictions.targets[predictions.seen_positions]
            is_repeat_P = torch.zeros_like(target_P).index_fill(0, predictions.seen_positions[again], 1.0)
            target_P = target_P + repeat_logit * is_repeat_P
        log_sum_P = torch.logsumexp(torch.cat([logits_PM, target_P.unsqueeze(1)], dim=1), dim=1)
        return SoftmaxLoss((log_sum_P - target_P).mean(), log_sum_P.detach())

    def _seen(self, predictions: Predictions, table_size: int, negatives: int, repeat_logit: Tensor) -> Tensor:
        """Return float32[P, M]: the repeat logit where a negative is an item that the user has."""
        column_N = torch.full((table_size,), -1, device=self.negatives_M.device)
        column_N[self.negatives_M] = torch.arange(negatives, device=self.negatives_M.device)
        columns = column_N[predictions.seen_rows]
        hit = columns >= 0
        seen_PM = predictions.users.new_zeros(len(predictions.targets), negatives)
        seen_PM[predictions.seen_positions[hit], columns[hit]] = 1.0
        return seen_PM * repeat_logit
