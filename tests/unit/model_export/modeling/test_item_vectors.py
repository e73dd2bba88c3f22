"""Item vectors: text plus a bounded delta."""

from __future__ import annotations

import math

import torch

from model_export.modeling.item_vectors import ItemVectors

KNOWN = torch.tensor([True, True, False, True])


def vectors(*, delta_bound: float = 0.5) -> ItemVectors:
    torch.manual_seed(0)
    items = ItemVectors(torch.randn(4, 3), torch.tensor([0.0, 1.0, 2.0, 3.0]), KNOWN, width=6, delta_bound=delta_bound)
    torch.nn.init.normal_(items.delta, std=100.0)
    return items


def test_row_0_is_zeros():
    """Padding has no vector."""
    assert torch.equal(vectors()()[0], torch.zeros(6))


def test_an_item_never_trained_on_is_its_text():
    """The row of an unknown item equals `from_text` of its text vector."""
    items = vectors()
    torch.testing.assert_close(items()[2], items.from_text(items.text_vectors[2:3])[0])


def test_a_delta_is_never_longer_than_the_bound():
    """However large the parameter, the delta stays below the bound; the text part has length 1."""
    items = vectors(delta_bound=0.5)
    lengths = items.deltas()[:, :-1].norm(dim=1).detach()
    assert float(lengths.max()) <= 0.5 + 1e-6
    assert float(lengths[1]) > 0.49
    torch.testing.assert_close(items.from_text(items.text_vectors[1:])[:, :-1].norm(dim=1), torch.ones(3))


def test_an_infinite_bound_frees_the_ids():
    """Without a bound the delta is the parameter."""
    items = vectors(delta_bound=math.inf)
    torch.testing.assert_close(items.deltas()[1, :-1], items.delta[1])


def test_a_bound_of_0_is_text_only():
    """No item has a delta."""
    assert not vectors(delta_bound=0.0).deltas().any()


def test_a_boost_lifts_new_items_only():
    """The popularity of the item without a delta rises, its direction and all other rows stay."""
    items = vectors()
    before = items().detach()
    items.boost_new_items(0.5)
    after = items().detach()
    torch.testing.assert_close(after[2] - before[2], torch.tensor([0.0] * 5 + [0.5]))
    torch.testing.assert_close(after[[0, 1, 3]], before[[0, 1, 3]])


def test_id_dropout_leaves_the_text():
    """With all deltas dropped every item is its text."""
    items = vectors()
    torch.testing.assert_close(items(id_dropout=1.0)[1:], items.from_text(items.text_vectors[1:]))


def test_some_rows_are_the_rows_of_the_whole_table():
    """A table of some rows holds the same vectors."""
    items = vectors()
    rows = torch.tensor([0, 2, 3])
    torch.testing.assert_close(items(rows=rows), items()[rows])


def test_fresh_text_replaces_the_kept_one_and_has_a_gradient():
    """The encoder of a step learns through the vectors that it hands in."""
    items = vectors()
    fresh = torch.randn(1, 3, requires_grad=True)
    table = items(fresh_text=(torch.tensor([3]), fresh))
    torch.testing.assert_close(table[3], items.from_text(fresh)[0] + items.deltas()[3])
    table[3].sum().backward()
    assert fresh.grad is not None
    assert fresh.grad.any()
