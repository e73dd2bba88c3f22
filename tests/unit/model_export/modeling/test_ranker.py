"""What the ranker promises: causality, no effect of padding, and serving scores equal to training scores."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from model_export.modeling.item_vectors import ItemVectors
from model_export.modeling.ranker import NEVER_AGAIN, RankerShape, SequenceRanker, mixed_logits
from model_export.modeling.read_out import UserState
from model_export.modeling.sequence_encoder import ENCODERS, EncoderShape

ITEMS, ACTIONS, OBJECTIVES = 30, 2, 2
ROWS = torch.tensor([[3, 9, 4, 0, 0], [1, 2, 3, 4, 5], [0, 0, 0, 0, 0]])
HISTORY_ACTIONS = torch.tensor([[0, 1, 0, 0, 0], [1, 1, 0, 0, 1], [0, 0, 0, 0, 0]])
AGE_S = torch.tensor([[9e5, 70.0, 3.0, 0.0, 0.0], [5e4, 4e4, 3e4, 3e4, 0.0], [0.0] * 5])
EVENTS = torch.tensor([3, 5, 0])
ONES = torch.ones(1, OBJECTIVES)


def ranker(
    encoder: str = "transformer", *, interests: int = 1, blocks: int = 2, use_time: bool = True
) -> SequenceRanker:
    torch.manual_seed(0)
    known = torch.ones(ITEMS + 1, dtype=torch.bool)
    items = ItemVectors(torch.randn(ITEMS + 1, 6), torch.randn(ITEMS + 1), known, width=8, delta_bound=1.0)
    size = EncoderShape(width=16, blocks=blocks, heads=2, dropout=0.5, use_time=use_time)
    shape = RankerShape(encoder, size, 5, ACTIONS, OBJECTIVES, interests, repeats=False)
    model = SequenceRanker(shape, items).eval()
    for value in model.parameters():
        if value.requires_grad and value.ndim > 1:
            torch.nn.init.normal_(value, std=0.3)
    return model


@pytest.mark.parametrize("interests", [1, 3])
@pytest.mark.parametrize("blocks", [1, 3])
@pytest.mark.parametrize("encoder", ENCODERS)
def test_the_serving_state_is_the_training_state_of_the_last_position(encoder, blocks, interests):
    """The state that a request gets equals the one that training computed at the same position."""
    model = ranker(encoder, blocks=blocks, interests=interests)
    table = model.item_table()
    all_states = model.user_states(table, ROWS, HISTORY_ACTIONS, AGE_S)
    served = model.user_state(table, ROWS, HISTORY_ACTIONS, AGE_S)
    for trained, now in zip(all_states, served, strict=True):
        torch.testing.assert_close(trained[torch.arange(3), EVENTS], now, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_later_event_never_changes_an_earlier_state(encoder):
    """Another item or action at position j leaves every state before j as it was."""
    model = ranker(encoder)
    table = model.item_table()
    before = model.user_states(table, ROWS, HISTORY_ACTIONS, AGE_S).interests
    changed_rows, changed_actions = ROWS.clone(), HISTORY_ACTIONS.clone()
    changed_rows[1, 3], changed_actions[1, 3] = 29, 1
    after = model.user_states(table, changed_rows, changed_actions, AGE_S).interests
    torch.testing.assert_close(after[1, :4], before[1, :4])
    assert not torch.allclose(after[1, 4], before[1, 4])


@pytest.mark.parametrize("encoder", ENCODERS)
def test_padding_changes_nothing(encoder):
    """A history scores the same whatever it is padded to."""
    model = ranker(encoder)
    table = model.item_table()
    candidates = torch.tensor([[7, 8, 9]])
    short = model.score(table, ROWS[:1, :3], HISTORY_ACTIONS[:1, :3], AGE_S[:1, :3], candidates, ONES)
    padded = model.score(table, ROWS[:1], HISTORY_ACTIONS[:1], AGE_S[:1], candidates, ONES)
    torch.testing.assert_close(padded, short)


@pytest.mark.parametrize("interests", [1, 3])
def test_candidates_score_as_in_the_whole_catalogue(interests):
    """`score` with weights of 1 and `score_catalog` give the same numbers."""
    model = ranker(interests=interests)
    table = model.item_table()
    candidates = torch.tensor([[5, 1, 30], [2, 3, 4], [30, 29, 28]])
    catalog = model.score_catalog(table, ROWS, HISTORY_ACTIONS, AGE_S)
    scores = model.score(table, ROWS, HISTORY_ACTIONS, AGE_S, candidates, ONES)
    torch.testing.assert_close(scores, catalog.gather(1, candidates), atol=1e-5, rtol=1e-5)


def test_an_empty_history_has_finite_scores_of_its_own():
    """A user without events is scored from the start token."""
    model = ranker()
    catalog = model.score_catalog(model.item_table(), ROWS, HISTORY_ACTIONS, AGE_S)
    assert torch.isfinite(catalog).all()
    assert not torch.allclose(catalog[2], catalog[0])


def test_an_item_of_the_history_is_put_last_where_nobody_comes_back():
    """Without repeats in training, an item that the user has loses `NEVER_AGAIN`."""
    model = ranker()
    table = model.item_table()
    catalog = model.score_catalog(table, ROWS, HISTORY_ACTIONS, AGE_S)
    user = model.user_state(table, ROWS, HISTORY_ACTIONS, AGE_S)
    plain = mixed_logits(user, table) - user.log_normaliser.unsqueeze(-1)
    torch.testing.assert_close(catalog[0, 9] - plain[0, 9], torch.tensor(NEVER_AGAIN))
    torch.testing.assert_close(catalog[0, 8], plain[0, 8])
    assert not model.repeat_logit.requires_grad


def test_where_users_come_back_that_is_learned():
    """With repeats the logit of an item that the user has starts at 0 and learns."""
    model = ranker()
    learning = SequenceRanker(replace(model.shape, repeats=True), model.items)
    assert learning.repeat_logit.item() == 0.0
    assert learning.repeat_logit.requires_grad


def test_objective_weights_scale_the_chance_of_their_outcome():
    """The chances of the outcomes of an item add up to its own."""
    model = ranker()
    table = model.item_table()
    candidates = torch.tensor([[5, 1, 30]] * 3)
    first, second = (
        model.score(table, ROWS, HISTORY_ACTIONS, AGE_S, candidates, torch.tensor([weights]))
        for weights in ([1.0, 0.0], [0.0, 1.0])
    )
    both = model.score(table, ROWS, HISTORY_ACTIONS, AGE_S, candidates, ONES)
    torch.testing.assert_close(first.exp() + second.exp(), both.exp())


def test_time_counts_only_where_it_is_real():
    """Ages change the scores of a model with time, and of no other."""
    for use_time in (True, False):
        model = ranker(use_time=use_time)
        table = model.item_table()
        fresh = model.score_catalog(table, ROWS, HISTORY_ACTIONS, AGE_S)
        stale = model.score_catalog(table, ROWS, HISTORY_ACTIONS, AGE_S * 50)
        assert torch.equal(fresh, stale) is not use_time


def test_the_gate_is_a_share():
    """The short-term share lies between 0 and 1, one for each user."""
    model = ranker()
    share = model.short_term_share(model.item_table(), ROWS, HISTORY_ACTIONS, AGE_S)
    assert share.shape == (3,)
    assert ((share > 0) & (share < 1)).all()


def test_several_interests_mix_as_chances():
    """The logit of a mixture is the log of the share-weighted sum of exponentials."""
    interests, items = torch.randn(1, 2, 4), torch.randn(3, 4)
    shares = torch.tensor([[0.25, 0.75]])
    user = UserState(interests, shares.log(), torch.zeros(1), torch.zeros(1, 1, 4))
    expected = (shares[0, :, None] * (interests[0] @ items.T).exp()).sum(dim=0).log()
    torch.testing.assert_close(mixed_logits(user, items)[0], expected)


def test_reading_texts_without_a_tower_is_refused():
    """`encode_texts` says what is missing."""
    with pytest.raises(RuntimeError, match="no text tower"):
        ranker().encode_texts(torch.ones(1, 2, dtype=torch.int64), torch.ones(1, 2, dtype=torch.int64))
