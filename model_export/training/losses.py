"""Softmax over the whole catalogue that never holds the logits of a whole batch."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

_POSITIONS_AT_ONCE: Final = 512
NEVER: Final = -1e4
"""Logit offset of a row that is in no list: padding, and items without a training event."""


class Predictions(NamedTuple):
    """P predictions of a batch and what they are to be compared with.

    Attributes:
        users: float32[P, K, D].
        log_shares: float32[P, K].
        targets: int64[P] item rows.
        seen_positions: int64[S], ascending: which prediction each seen item belongs to.
        seen_rows: int64[S], items that the user of that prediction already has.
    """

    users: Tensor
    log_shares: Tensor
    targets: Tensor
    seen_positions: Tensor
    seen_rows: Tensor


class SoftmaxLoss(NamedTuple):
    """Mean cross-entropy (float32[]) and log of the sum of ``exp(logit)`` over the catalogue (float32[P], detached)."""

    loss: Tensor
    log_sum: Tensor


class CatalogSoftmax(NamedTuple):
    """Cross-entropy with every item of the catalogue in every softmax.

    Attributes:
        offset_N: float32[N + 1], added to the logits: 0, or `NEVER`.
        repeats: True: seen items get the learned repeat logit. False: they are out of the softmax, unless they are the
            target against all odds.
        dtype: Of the products with the catalogue; everything that is summed over positions is float32.
    """

    offset_N: Tensor
    repeats: bool
    dtype: torch.dtype

    def __call__(self, predictions: Predictions, items_ND: Tensor, repeat_logit: Tensor) -> SoftmaxLoss:
        """Return the loss of P predictions over ``items_ND`` (float32[N + 1, D])."""
        if predictions.users.shape[1] > 1:
            return self._mixture(predictions, items_ND, repeat_logit)
        loss, log_sum_P = _FusedCrossEntropy.apply(  # type: ignore[no-untyped-call]
            predictions.users[:, 0], items_ND, repeat_logit, predictions, self
        )
        return SoftmaxLoss(loss, log_sum_P)

    def add_seen(self, logits_CN: Tensor, predictions: Predictions, start: int, repeat_logit: Tensor) -> Tensor:
        """Add the repeat logit to seen items of a chunk, in place.

        Args:
            logits_CN: Of the predictions from ``start`` on.
            predictions: All P.
            start: First prediction of the chunk.
            repeat_logit: float32[].

        Returns:
            int64[2, S]: positions in the chunk and rows that got it; distinct where it is learned.
        """
        size = len(logits_CN)
        bounds = torch.tensor([start, start + size], device=logits_CN.device)
        first, last = torch.searchsorted(predictions.seen_positions, bounds).tolist()
        pairs = torch.stack([predictions.seen_positions[first:last] - start, predictions.seen_rows[first:last]])
        if self.repeats:
            keys = torch.unique(pairs[0] * logits_CN.shape[1] + pairs[1])
            pairs = torch.stack([keys // logits_CN.shape[1], keys % logits_CN.shape[1]])
        else:
            pairs = pairs[:, predictions.targets[start + pairs[0]] != pairs[1]]
        logits_CN[pairs[0], pairs[1]] = logits_CN[pairs[0], pairs[1]] + repeat_logit.to(logits_CN.dtype)
        return pairs

    def _mixture(self, predictions: Predictions, items_ND: Tensor, repeat_logit: Tensor) -> SoftmaxLoss:
        """Several interests: each chunk is computed again in the backward pass."""
        log_sums, losses = [], []
        for start in range(0, len(predictions.targets), _POSITIONS_AT_ONCE):
            loss, log_sum = checkpoint(
                self._mixture_chunk, predictions, items_ND, repeat_logit, start, use_reentrant=False
            )
            losses.append(loss)
            log_sums.append(log_sum.detach())
        return SoftmaxLoss(torch.cat(losses).mean(), torch.cat(log_sums))

    def _mixture_chunk(
        self, predictions: Predictions, items_ND: Tensor, repeat_logit: Tensor, start: int
    ) -> tuple[Tensor, Tensor]:
        own = slice(start, start + _POSITIONS_AT_ONCE)
        users_CKD, targets_C = predictions.users[own], predictions.targets[own]
        logits_CKN = (users_CKD.to(self.dtype) @ items_ND.to(self.dtype).T).float()
        logits_CN = torch.logsumexp(logits_CKN + predictions.log_shares[own].unsqueeze(-1), dim=1) + self.offset_N
        extra_CN = torch.zeros_like(logits_CN)
        self.add_seen(extra_CN, predictions, start, repeat_logit)
        logits_CN = logits_CN + extra_CN
        log_sum_C = torch.logsumexp(logits_CN, dim=-1)
        return log_sum_C - logits_CN.gather(1, targets_C.unsqueeze(1)).squeeze(1), log_sum_C


class _FusedCrossEntropy(torch.autograd.Function):
    """Cross-entropy of ``users @ items.T`` whose gradients are made in the forward pass, chunk by chunk.

    One chunk of logits is all that is ever held, and the softmax that the loss needs is the one that the gradients
    need (the idea of "Cut Your Losses", arXiv 2411.09009).
    """

    @staticmethod
    def forward(  # noqa: PLR0917 (autograd passes by position)
        ctx: Any,
        users_PD: Tensor,
        items_ND: Tensor,
        repeat_logit: Tensor,
        predictions: Predictions,
        softmax: CatalogSoftmax,
    ) -> tuple[Tensor, Tensor]:
        users, items = users_PD.to(softmax.dtype), items_ND.to(softmax.dtype)
        offset = softmax.offset_N.to(softmax.dtype)
        logits_CN = users.new_empty(min(_POSITIONS_AT_ONCE, len(users)), len(items))
        shares_CN = torch.empty_like(logits_CN)
        user_gradient, item_gradient = torch.empty_like(users_PD), torch.zeros_like(items_ND)
        repeat_gradient = torch.zeros_like(repeat_logit)
        log_sum_P, loss_P = users_PD.new_empty(len(users)), users_PD.new_empty(len(users))
        for start in range(0, len(users), _POSITIONS_AT_ONCE):
            own = slice(start, start + _POSITIONS_AT_ONCE)
            target = predictions.targets[own]
            each = torch.arange(len(target), device=target.device)
            logits, shares = logits_CN[: len(target)], shares_CN[: len(target)]
            torch.addmm(offset, users[own], items.T, out=logits)
            pairs = softmax.add_seen(logits, predictions, start, repeat_logit)
            torch.softmax(logits, -1, out=shares)
            share = shares[each, target].float()
            loss_P[own] = -share.clamp(min=1e-30).log()
            log_sum_P[own] = logits[each, target].float() + loss_P[own]
            shares[each, target] = (share - 1.0).to(shares.dtype)
            repeat_gradient += shares[pairs[0], pairs[1]].float().sum()
            user_gradient[own] = shares @ items
            item_gradient += shares.T @ users[own]
        ctx.save_for_backward(user_gradient, item_gradient, repeat_gradient)
        ctx.mark_non_differentiable(log_sum_P)
        return loss_P.mean(), log_sum_P

    @staticmethod
    def backward(ctx: Any, loss_gradient: Tensor, _: Tensor) -> Any:
        """Scale the gradients that the forward pass made."""
        user_gradient, item_gradient, repeat_gradient = ctx.saved_tensors
        scale = loss_gradient / len(user_gradient)
        return user_gradient * scale, item_gradient * scale, repeat_gradient * scale, None, None
