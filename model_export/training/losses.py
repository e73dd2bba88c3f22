"""Softmax over the whole catalogue that never holds the logits of a whole batch."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

_POSITIONS_AT_ONCE: Final = 512
OUT: Final = -1e4
"""Logit of an item that is not in a softmax."""


class Predictions(NamedTuple):
    """P predictions of a batch and what they are to be compared with.

    Attributes:
        users: float32[P, K, D].
        log_shares: float32[P, K].
        targets: int64[P] item rows.
        available: int64[P] how many items, in the order of their arrival, each prediction chooses among
            (`model_export.training.arrivals.Arrivals`).
        seen_positions: int64[S], ascending: which prediction each seen item belongs to.
        seen_rows: int64[S], items that the user of that prediction already has.
    """

    users: Tensor
    log_shares: Tensor
    targets: Tensor
    available: Tensor
    seen_positions: Tensor
    seen_rows: Tensor


class SoftmaxLoss(NamedTuple):
    """Mean cross-entropy (float32[]) and log of the sum of ``exp(logit)`` over the catalogue (float32[P], detached)."""

    loss: Tensor
    log_sum: Tensor


class CatalogSoftmax(NamedTuple):
    """Cross-entropy with every item that was there in every softmax.

    Attributes:
        rows_A: int64[A], the items with training events in the order of their arrival; others are in no softmax.
        offsets_A: float32[A], added to their logits.
        column_N: int64[N + 1], where each row is among them; A where it is not.
        repeats: True: seen items get the learned repeat logit. False: they are out of the softmax, unless they are the
            target against all odds.
        dtype: Of the products with the catalogue; everything that is summed over positions is float32.
    """

    rows_A: Tensor
    offsets_A: Tensor
    column_N: Tensor
    repeats: bool
    dtype: torch.dtype

    @classmethod
    def over(
        cls, rows_A: Tensor, offsets_A: Tensor, item_count: int, *, repeats: bool, dtype: torch.dtype
    ) -> CatalogSoftmax:
        """Return the softmax over ``rows_A`` of N items."""
        column_N = torch.full((item_count + 1,), len(rows_A), device=rows_A.device)
        column_N[rows_A] = torch.arange(len(rows_A), device=rows_A.device)
        return cls(rows_A, offsets_A, column_N, repeats, dtype)

    def offsets_of(self, rows: Tensor) -> Tensor:
        """Return float32[n], what is added to the logits of ``rows``; 0 for items without training events."""
        return torch.nn.functional.pad(self.offsets_A, (0, 1))[self.column_N[rows]]

    def __call__(self, predictions: Predictions, items_ND: Tensor, repeat_logit: Tensor) -> SoftmaxLoss:
        """Return the loss of P predictions over ``items_ND`` (float32[N + 1, D])."""
        order_P = torch.argsort(predictions.available, stable=True)
        ordered, items_AD = self._ordered(predictions, order_P), items_ND[self.rows_A]
        if predictions.users.shape[1] > 1:
            loss, log_sum_P = self._mixture(ordered, items_AD, repeat_logit)
        else:
            loss, log_sum_P = _FusedCrossEntropy.apply(  # type: ignore[no-untyped-call]
                ordered.users[:, 0], items_AD, repeat_logit, ordered, self
            )
        return SoftmaxLoss(loss, torch.empty_like(log_sum_P).index_copy_(0, order_P, log_sum_P))

    def _ordered(self, predictions: Predictions, order_P: Tensor) -> Predictions:
        """Return the predictions in another order, their items as columns."""
        place_P = torch.empty_like(order_P)
        place_P[order_P] = torch.arange(len(order_P), device=order_P.device)
        seen_positions, seen_order = torch.sort(place_P[predictions.seen_positions], stable=True)
        return Predictions(
            predictions.users[order_P],
            predictions.log_shares[order_P],
            self.column_N[predictions.targets[order_P]],
            predictions.available[order_P],
            seen_positions,
            self.column_N[predictions.seen_rows[seen_order]],
        )

    def add_seen(self, logits_CA: Tensor, ordered: Predictions, start: int, repeat_logit: Tensor) -> Tensor:
        """Add the repeat logit to seen items of a chunk, in place.

        Args:
            logits_CA: Of the predictions from ``start`` on.
            ordered: All P.
            start: First prediction of the chunk.
            repeat_logit: float32[].

        Returns:
            int64[2, S]: positions in the chunk and columns that got it; distinct where it is learned.
        """
        size = len(logits_CA)
        bounds = torch.tensor([start, start + size], device=logits_CA.device)
        first, last = torch.searchsorted(ordered.seen_positions, bounds).tolist()
        pairs = torch.stack([ordered.seen_positions[first:last] - start, ordered.seen_rows[first:last]])
        if self.repeats:
            keys = torch.unique(pairs[0] * logits_CA.shape[1] + pairs[1])
            pairs = torch.stack([keys // logits_CA.shape[1], keys % logits_CA.shape[1]])
        else:
            pairs = pairs[:, ordered.targets[start + pairs[0]] != pairs[1]]
        logits_CA[pairs[0], pairs[1]] = logits_CA[pairs[0], pairs[1]] + repeat_logit.to(logits_CA.dtype)
        return pairs

    def _mixture(self, ordered: Predictions, items_AD: Tensor, repeat_logit: Tensor) -> tuple[Tensor, Tensor]:
        """Several interests: each chunk is computed again in the backward pass."""
        log_sums, losses = [], []
        for start in range(0, len(ordered.targets), _POSITIONS_AT_ONCE):
            loss, log_sum = checkpoint(self._mixture_chunk, ordered, items_AD, repeat_logit, start, use_reentrant=False)
            losses.append(loss)
            log_sums.append(log_sum.detach())
        return torch.cat(losses).mean(), torch.cat(log_sums)

    def _mixture_chunk(
        self, ordered: Predictions, items_AD: Tensor, repeat_logit: Tensor, start: int
    ) -> tuple[Tensor, Tensor]:
        own = slice(start, start + _POSITIONS_AT_ONCE)
        available_C, targets_C = ordered.available[own], ordered.targets[own]
        items = items_AD[: int(available_C[-1])].to(self.dtype)
        logits_CKA = (ordered.users[own].to(self.dtype) @ items.T).float()
        logits_CA = torch.logsumexp(logits_CKA + ordered.log_shares[own].unsqueeze(-1), dim=1)
        extra_CA = self.offsets_A[: len(items)].expand_as(logits_CA).clone()
        self.add_seen(extra_CA, ordered, start, repeat_logit)
        _take_out_absent(extra_CA, available_C)
        logits_CA = logits_CA + extra_CA
        log_sum_C = torch.logsumexp(logits_CA, dim=-1)
        return log_sum_C - logits_CA.gather(1, targets_C.unsqueeze(1)).squeeze(1), log_sum_C


def _take_out_absent(logits_CA: Tensor, available_C: Tensor) -> None:
    """Give `OUT` to what was not there yet, in place; ``available_C`` ascends."""
    first = int(available_C[0])
    columns = torch.arange(first, logits_CA.shape[1], device=logits_CA.device)
    logits_CA[:, first:].masked_fill_(columns >= available_C.unsqueeze(1), OUT)


class _FusedCrossEntropy(torch.autograd.Function):
    """Cross-entropy of ``users @ items.T`` whose gradients are made in the forward pass, chunk by chunk.

    One chunk of logits is all that is ever held, and the softmax that the loss needs is the one that the gradients
    need (the idea of "Cut Your Losses", arXiv 2411.09009). A chunk is multiplied with the items that were there alone.
    """

    @staticmethod
    def forward(  # noqa: PLR0917 -- autograd passes by position
        ctx: Any,
        users_PD: Tensor,
        items_AD: Tensor,
        repeat_logit: Tensor,
        ordered: Predictions,
        softmax: CatalogSoftmax,
    ) -> tuple[Tensor, Tensor]:
        users, all_items = users_PD.to(softmax.dtype), items_AD.to(softmax.dtype)
        offsets = softmax.offsets_A.to(softmax.dtype)
        user_gradient, item_gradient = torch.empty_like(users_PD), torch.zeros_like(items_AD)
        repeat_gradient = torch.zeros_like(repeat_logit)
        log_sum_P, loss_P = users_PD.new_empty(len(users)), users_PD.new_empty(len(users))
        for start in range(0, len(users), _POSITIONS_AT_ONCE):
            own = slice(start, start + _POSITIONS_AT_ONCE)
            target, available = ordered.targets[own], ordered.available[own]
            each = torch.arange(len(target), device=target.device)
            items = all_items[: int(available[-1])]
            logits = torch.addmm(offsets[: len(items)], users[own], items.T)
            pairs = softmax.add_seen(logits, ordered, start, repeat_logit)
            _take_out_absent(logits, available)
            shares = torch.softmax(logits, -1)
            share = shares[each, target].float()
            loss_P[own] = -share.clamp(min=1e-30).log()
            log_sum_P[own] = logits[each, target].float() + loss_P[own]
            shares[each, target] = (share - 1.0).to(shares.dtype)
            repeat_gradient += shares[pairs[0], pairs[1]].float().sum()
            user_gradient[own] = shares @ items
            item_gradient[: len(items)] += shares.T @ users[own]
        ctx.save_for_backward(user_gradient, item_gradient, repeat_gradient)
        ctx.mark_non_differentiable(log_sum_P)
        return loss_P.mean(), log_sum_P

    @staticmethod
    def backward(ctx: Any, loss_gradient: Tensor, _: Tensor) -> Any:
        """Scale the gradients that the forward pass made."""
        user_gradient, item_gradient, repeat_gradient = ctx.saved_tensors
        scale = loss_gradient / len(user_gradient)
        return user_gradient * scale, item_gradient * scale, repeat_gradient * scale, None, None
