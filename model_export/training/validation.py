"""Masked ranks over the full catalogue, as early stopping looks at them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from app.contract.tensors import PADDING_ROW
from model_export.data.history_arrays import histories_of
from model_export.errors import CommandError
from model_export.evaluation.metrics import hit_rate, ndcg
from model_export.modeling.ranker import mixed_logits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from app.contract.tensors import Int64Array
    from model_export.data.dataset import Dataset
    from model_export.data.splits import Targets
    from model_export.modeling.ranker import SequenceRanker

_USERS_AT_ONCE: Final = 256


class Validation:
    """Measures a model on a fixed sample of the validation targets.

    Args:
        data: The events.
        targets: All validation targets.
        at_most: How many of them are looked at; the same ones every time.
    """

    def __init__(self, data: Dataset, targets: Targets, at_most: int) -> None:
        self._data = data
        self._targets = sampled_targets(targets, at_most)

    def measure(self, model: SequenceRanker) -> dict[str, float]:
        """Return masked NDCG@10 and HR@10; 0 where there are no targets."""
        if not len(self._targets):
            return {"NDCG@10": 0.0, "HR@10": 0.0}
        ranks_T = masked_ranks(model, self._data, self._targets)
        return {"NDCG@10": ndcg_at(ranks_T, 10), "HR@10": hit_rate_at(ranks_T, 10)}


def sampled_targets(targets: Targets, at_most: int) -> Targets:
    """Return ``at_most`` of the targets, the same ones every time, in their order."""
    chosen = np.random.default_rng(0).permutation(len(targets))[:at_most]
    return targets.take(np.sort(chosen))


def masked_ranks(model: SequenceRanker, data: Dataset, targets: Targets, table_ND: Tensor | None = None) -> Int64Array:
    """Return ``int64[T]``, the rank of each target among the items that its user has not seen; ties count against it.

    Args:
        model: Is set to evaluation mode and left there.
        data: The events.
        targets: T targets.
        table_ND: ``float32[N + 1, D]`` item vectors; None are the model's.

    Raises:
        CommandError: If a score is not finite.
    """
    model.eval()
    device = next(model.parameters()).device
    ranks_T = np.zeros(len(targets), np.int64)
    with torch.inference_mode():
        table_ND = model.item_table() if table_ND is None else table_ND
        for chosen in _batches(targets, data):
            history = histories_of(data, targets.take(chosen), model.shape.history_length)
            user = model.user_state(
                table_ND,
                torch.from_numpy(history.rows_BH).to(device),
                torch.from_numpy(history.actions_BH).to(device),
                torch.from_numpy(history.age_s_BH).to(device),
            )
            scores_BN = mixed_logits(user, table_ND).cpu()
            if not scores_BN.isfinite().all():
                raise CommandError("the training diverged: a score is no number; lower training.learning_rate")
            _mask_seen(scores_BN, data, targets, chosen)
            target_B1 = torch.from_numpy(data.rows[targets.events[chosen]]).unsqueeze(1)
            ranks_T[chosen] = ranks_of(scores_BN, target_B1).numpy()
    return ranks_T


def ranks_of(scores_BN: Tensor, target_B1: Tensor) -> Tensor:
    """Return ``int64[B]``: 1 + the number of other items that score at least as much as the target."""
    target_score_B1 = scores_BN.gather(1, target_B1)
    return (scores_BN >= target_score_B1).sum(dim=1)


def _mask_seen(scores_BN: Tensor, data: Dataset, targets: Targets, chosen: Int64Array) -> None:
    """Take padding and the whole visible history out, but never the target itself."""
    target_B1 = torch.from_numpy(data.rows[targets.events[chosen]]).unsqueeze(1)
    kept_B1 = scores_BN.gather(1, target_B1)
    starts, ends = data.user_offsets[targets.users[chosen]], targets.history_ends[chosen]
    counts = ends - starts
    lists = np.repeat(np.arange(len(chosen)), counts)
    events = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(starts, counts)
    scores_BN[torch.from_numpy(lists), torch.from_numpy(data.rows[events])] = -torch.inf
    scores_BN[:, PADDING_ROW] = -torch.inf
    scores_BN.scatter_(1, target_B1, kept_B1)


def _batches(targets: Targets, data: Dataset) -> Iterator[Int64Array]:
    """Yield positions of targets with histories of similar length."""
    lengths = targets.history_ends - data.user_offsets[targets.users]
    order = np.argsort(lengths, kind="stable")
    for start in range(0, len(order), _USERS_AT_ONCE):
        yield order[start : start + _USERS_AT_ONCE]


def ndcg_at(ranks_T: Int64Array, k: int) -> float:
    """Return the mean of `model_export.evaluation.metrics.ndcg`."""
    return float(ndcg(ranks_T, k).mean())


def hit_rate_at(ranks_T: Int64Array, k: int) -> float:
    """Return the mean of `model_export.evaluation.metrics.hit_rate`."""
    return float(hit_rate(ranks_T, k).mean())
