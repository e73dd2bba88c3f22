"""Masked ranks against the obvious way."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model_export.errors import CommandError
from model_export.training.building import build_ranker
from model_export.training.validation import Validation, hit_rate_at, masked_ranks, ndcg_at
from tests.unit.model_export.training.small_material import small_config, small_material

MATERIAL = small_material(users=12)


def ranker():
    torch.manual_seed(1)
    return build_ranker(
        small_config(MATERIAL),
        text_vectors_NW=MATERIAL.texts.vectors_NW,
        counts_N=MATERIAL.counts("select"),
        actions=3,
        objectives=3,
        repeat_share=0.0,
    ).eval()


def test_ranks_count_the_unseen_items_that_score_at_least_as_much():
    """One user at a time, with `score_catalog` and a loop, gives the same ranks."""
    model, data, test = ranker(), MATERIAL.data, MATERIAL.split.test
    ranks = masked_ranks(model, data, test)
    with torch.inference_mode():
        for position in range(len(test)):
            start, end = data.user_offsets[test.users[position]], test.history_ends[position]
            events = np.arange(max(start, end - model.shape.history_length), end)
            ages = (data.timestamps_ms[test.events[position]] - data.timestamps_ms[events]) / 1000
            scores = model.score_catalog(
                model.item_table(),
                torch.from_numpy(data.rows[events])[None],
                torch.from_numpy(data.action_ids[events])[None],
                torch.from_numpy(ages.astype(np.float32))[None],
            )[0]
            target = int(data.rows[test.events[position]])
            others = set(range(1, len(scores))) - set(data.rows[start:end].tolist()) - {target}
            assert ranks[position] == 1 + sum(float(scores[other]) >= float(scores[target]) for other in others)


def test_metrics_of_known_ranks():
    """Rank 1 counts whole, rank 3 a half, rank 11 nothing."""
    ranks = np.array([1, 3, 11])
    assert ndcg_at(ranks, 10) == np.mean([1.0, 0.5, 0.0])
    assert hit_rate_at(ranks, 10) == 2 / 3


def test_the_sample_of_targets_is_always_the_same():
    """Two epochs are measured on the same users."""
    first = Validation(MATERIAL.data, MATERIAL.split.validation, 5).measure(ranker())
    assert first == Validation(MATERIAL.data, MATERIAL.split.validation, 5).measure(ranker())


def test_no_targets_measure_0():
    """Data without a user of three events can still be trained on."""
    none = MATERIAL.split.validation.take(slice(0))
    assert Validation(MATERIAL.data, none, 5).measure(ranker()) == {"NDCG@10": 0.0, "HR@10": 0.0}


def test_scores_that_are_no_numbers_are_no_ranks():
    """A training that diverged is an error; NaN would otherwise be the best rank there is."""
    model = ranker()
    with torch.no_grad():
        model.items.popularity[3] = torch.nan
    with pytest.raises(CommandError, match="the training diverged"):
        masked_ranks(model, MATERIAL.data, MATERIAL.split.test)
