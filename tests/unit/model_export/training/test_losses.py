"""The fused, the mixed and the sampled softmax against the obvious one."""

from __future__ import annotations

import pytest
import torch

from model_export.training.losses import OUT, CatalogSoftmax, Predictions
from model_export.training.sampled_softmax import NegativeSampler, SampledSoftmax

ITEMS = 12
SEEN_POSITIONS, SEEN_ROWS = torch.tensor([0, 0, 2, 3]), torch.tensor([2, 5, 7, 4])
TARGETS = torch.tensor([1, 2, 3, 4])  # the last one is a repeat
ARRIVALS = torch.tensor([4, 2, 9, 1, 5, 7, 3, 10, 8, 6, 11])  # row 12 has no events
OFFSETS = torch.linspace(0.0, 2.0, 11)
AVAILABLE = torch.tensor([9, 4, 11, 6])
REPEAT = torch.tensor(-2.0)


def inputs(interests: int = 1):
    torch.manual_seed(0)
    users = torch.randn(4, interests, 5, requires_grad=True)
    items = torch.randn(ITEMS + 1, 5, requires_grad=True)
    shares = torch.log_softmax(torch.randn(4, interests), dim=-1)
    return users, items, shares, REPEAT.clone().requires_grad_()


def predictions_of(users, shares):
    return Predictions(users, shares, TARGETS, AVAILABLE, SEEN_POSITIONS, SEEN_ROWS)


def catalog_softmax(*, repeats, dtype=torch.float32):
    return CatalogSoftmax.over(ARRIVALS, OFFSETS, ITEMS, repeats=repeats, dtype=dtype)


def obvious_logits(users, items, shares, repeat, *, repeats):
    absent = torch.full((4, ITEMS + 1), OUT)
    for position, available in enumerate(AVAILABLE.tolist()):
        absent[position, ARRIVALS[:available]] = OFFSETS[:available]
    logits = torch.logsumexp(users @ items.T + shares.unsqueeze(-1), dim=1) + absent
    seen = torch.zeros_like(logits)
    seen[SEEN_POSITIONS, SEEN_ROWS] = 1.0
    if not repeats:
        seen[torch.arange(4), TARGETS] = 0.0
    return logits + seen * repeat


@pytest.mark.parametrize("repeats", [True, False])
@pytest.mark.parametrize("interests", [1, 3])
def test_the_catalogue_softmax_is_the_obvious_one(interests, repeats, monkeypatch):
    """Loss, normaliser and all gradients equal those of a plain cross-entropy over what was there."""
    monkeypatch.setattr("model_export.training.losses._POSITIONS_AT_ONCE", 3)
    users, items, shares, repeat = inputs(interests)
    got = catalog_softmax(repeats=repeats)(predictions_of(users, shares), items, repeat)
    got_gradients = torch.autograd.grad(got.loss, [users, items, *([repeat] if repeats else [])])
    logits = obvious_logits(users, items, shares, repeat, repeats=repeats)
    expected = torch.nn.functional.cross_entropy(logits, TARGETS)
    wanted_gradients = torch.autograd.grad(expected, [users, items, *([repeat] if repeats else [])])
    torch.testing.assert_close(got.loss, expected)
    torch.testing.assert_close(got.log_sum, torch.logsumexp(logits, dim=1).detach())
    for gradient, wanted in zip(got_gradients, wanted_gradients, strict=True):
        torch.testing.assert_close(gradient, wanted, atol=1e-6, rtol=1e-4)


def test_bfloat16_products_stay_close():
    """The loss in bfloat16 is within a percent."""
    users, items, shares, repeat = inputs()
    predictions = predictions_of(users, shares)
    exact = catalog_softmax(repeats=True)(predictions, items, repeat)
    rough = catalog_softmax(repeats=True, dtype=torch.bfloat16)(predictions, items, repeat)
    torch.testing.assert_close(rough.loss, exact.loss, rtol=0.02, atol=0.0)


@pytest.mark.parametrize("repeats", [True, False])
def test_a_sample_of_everything_is_the_full_softmax(repeats):
    """With each item drawn as often as expected the sampled loss is the full one."""
    users, items, shares, repeat = inputs(2)
    everything = torch.arange(1, ITEMS)
    full = catalog_softmax(repeats=repeats)
    offsets = full.offsets_of(torch.arange(ITEMS + 1))
    sampled = SampledSoftmax(everything, torch.zeros(ITEMS - 1), full.column_N[everything], offsets, repeats)
    got = sampled(predictions_of(users, shares), items, repeat)
    logits = obvious_logits(users, items, shares, repeat, repeats=repeats)
    torch.testing.assert_close(got.loss, torch.nn.functional.cross_entropy(logits, TARGETS))
    torch.testing.assert_close(got.log_sum, torch.logsumexp(logits, dim=1).detach())


def test_the_sample_estimates_the_sum_over_the_catalogue():
    """Over many draws the corrected sum of exponentials has the mean of the true one."""
    torch.manual_seed(0)
    counts = torch.tensor([0, 1, 5, 0, 20, 2])
    values = torch.tensor([0.0, 0.3, 0.7, 9.0, 0.1, 0.5])
    sampler = NegativeSampler(counts, 4)
    sums = []
    for _ in range(4000):
        rows, log_expected = sampler.draw()
        sums.append(float((values[rows] * torch.exp(-log_expected)).sum()))
    assert sum(sums) / len(sums) == pytest.approx(0.3 + 0.7 + 0.1 + 0.5, rel=0.03)


def test_items_without_events_are_never_negatives():
    """Neither padding nor an item that nobody touched is drawn."""
    sampler = NegativeSampler(torch.tensor([9, 1, 5, 0, 20]), 500)
    assert sampler.draw()[0].tolist() == [1, 2, 4]
