"""How much new items are raised."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model_export.training.fresh_fit import fresh_ranker
from model_export.training.material import SELECT
from model_export.training.new_items import BOOSTS, MOST_LOSS, affordable_boost
from tests.unit.model_export.training.small_material import ITEMS, small_config, small_material


@pytest.fixture
def material():
    return small_material(users=300)


@pytest.fixture
def model(material):
    """A ranker that knows what comes next: a user is a little like the item after the latest one."""
    torch.manual_seed(3)
    return fresh_ranker(material, small_config(material), SELECT)


def quality_by_hand(model, material, boost):
    """NDCG@10 of known items with a tenth of the items reduced to text and raised, one question after the other."""
    data, validation = material.data, material.split.validation
    pretenders = np.random.default_rng(0).permutation(np.arange(1, ITEMS + 1))[:2]
    with torch.no_grad():
        table = model.eval().item_table().clone()
        table[pretenders] = model.items.from_text(model.items.text_vectors[pretenders])
        table[pretenders, -1] += boost
        gains = []
        for event, end, user in zip(validation.events, validation.history_ends, validation.users, strict=True):
            if data.rows[event] in pretenders:
                continue
            begin = max(data.user_offsets[user], end - model.shape.history_length)
            rows, actions = data.rows[begin:end], data.action_ids[begin:end]
            age_s = ((data.timestamps_ms[event] - data.timestamps_ms[begin:end]) / 1000).astype(np.float32)
            scores = model.score_catalog(table, *(torch.from_numpy(array)[None] for array in (rows, actions, age_s)))[0]
            unseen = set(range(1, ITEMS + 1)) - set(data.rows[data.user_offsets[user] : end].tolist())
            unseen.add(int(data.rows[event]))
            rank = sum(bool(scores[row] >= scores[data.rows[event]]) for row in unseen)
            gains.append(1 / np.log2(1 + rank) if rank <= 10 else 0.0)
    return np.mean(gains)


def test_it_is_the_largest_boost_that_known_items_can_afford(model, material):
    """The chosen boost costs known items at most the allowed share, and every larger one costs more."""
    boost = affordable_boost(model, material.data, material.split.validation)
    least = (1 - MOST_LOSS) * quality_by_hand(model, material, 0.0)
    assert boost < max(BOOSTS)
    assert quality_by_hand(model, material, boost) >= least
    assert all(quality_by_hand(model, material, larger) < least for larger in BOOSTS if larger > boost)


def test_the_model_is_left_as_it_was(model, material):
    """Choosing changes no weight."""
    before = {name: value.clone() for name, value in model.state_dict().items()}
    affordable_boost(model, material.data, material.split.validation)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_model_of_texts_alone_has_nothing_to_raise(model, material):
    """Without deltas new items are like all others."""
    model.items.delta_bound = 0.0
    assert affordable_boost(model, material.data, material.split.validation) == 0.0


def test_without_validation_targets_nothing_is_raised(model, material):
    """There is nothing to measure the price with."""
    assert affordable_boost(model, material.data, material.split.validation.take(slice(0, 0))) == 0.0


def test_nothing_is_raised_where_no_list_is_right(material, model):
    """If no answer is among the first ten anyway, known items lose nothing by any boost: that proves nothing."""
    with torch.no_grad():
        model.items.popularity.zero_()
        model.items.delta.zero_()
        model.items.adaptor.weight.zero_()
        model.items.adaptor.bias.zero_()
    told = []
    boost = affordable_boost(model, material.data, material.split.validation, note=told.append)
    assert boost == 0.0
    assert "not raised" in told[0]
