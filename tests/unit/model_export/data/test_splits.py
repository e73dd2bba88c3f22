"""Which events are trained on, validated on and tested on."""

from __future__ import annotations

import numpy as np
import pytest

from model_export.data.splits import cold_items, leave_one_out, split_by_name, temporal
from model_export.errors import DataError
from tests.small_data import dataset_of

DATA = dataset_of([[(1, 10), (2, 20), (3, 30), (4, 95)], [(2, 15), (3, 92)], [(1, 40), (4, 88), (5, 99)]], items=5)


def test_leave_one_out_holds_out_the_last_two_events() -> None:
    """Users with fewer than three events are trained on whole."""
    split = leave_one_out(DATA)
    assert split.train_ends.tolist() == [2, 6, 7]
    assert split.refit_ends.tolist() == [3, 6, 8]
    assert split.validation.events.tolist() == [2, 7]
    assert split.test.events.tolist() == [3, 8]
    assert split.test.users.tolist() == [0, 2]
    assert split.test.history_ends.tolist() == [3, 8]


def test_temporal_predicts_the_first_event_after_a_cut() -> None:
    """All users are cut at the same moment; histories and training end before it."""
    split = temporal(DATA, validation_fraction=0.2, test_fraction=0.34)
    # nine events in time order: 10 15 20 30 | 40 | 88 92 95 99: cuts at 40 and at 88
    assert split.train_ends.tolist() == [3, 5, 6]
    assert split.refit_ends.tolist() == [3, 5, 7]
    assert split.validation.events.tolist() == []
    assert split.test.events.tolist() == [3, 5, 7]
    assert split.test.history_ends.tolist() == [3, 5, 7]


def test_temporal_refuses_times_that_cannot_be_cut() -> None:
    """If all events share a moment there is no before."""
    with pytest.raises(DataError, match="too many events share one timestamp"):
        temporal(dataset_of([[(1, 5), (2, 5), (3, 5)]], items=3))


def test_temporal_refuses_senseless_fractions() -> None:
    """Fractions leave something to train on."""
    with pytest.raises(DataError, match=r"the fractions are 0\.5 and 0\.5"):
        temporal(DATA, validation_fraction=0.5, test_fraction=0.5)


def test_cold_items_are_the_first_tenth_of_the_seeded_permutation() -> None:
    """The choice is that of numpy's RandomState(7), so that others can repeat it."""
    data = dataset_of([[(row, row) for row in range(1, 41)]], items=40)
    _, split = cold_items(data)
    assert split.cold_rows.tolist() == sorted((np.random.RandomState(7).permutation(40)[:4] + 1).tolist())


def test_cold_keeps_test_targets_and_hides_cold_items_everywhere_else() -> None:
    """A cold test target stays a target; cold events leave histories and validation."""
    thinned, split = cold_items(DATA, share=0.4, seed=0)
    cold = set(split.cold_rows.tolist())
    assert len(cold) == 2
    assert len(split.test) == 2
    assert thinned.rows[split.test.events].tolist() == [4, 5]
    for user, end in enumerate(split.train_ends):
        assert not cold & set(thinned.rows[thinned.user_offsets[user] : end].tolist())
    for targets in (split.test, split.validation):
        for user, end in zip(targets.users, targets.history_ends, strict=True):
            assert not cold & set(thinned.rows[thinned.user_offsets[user] : end].tolist())
    assert not cold & set(thinned.rows[split.validation.events].tolist())


def test_splits_go_by_name() -> None:
    """Names give their split; only cold changes the dataset; other names are refused."""
    assert split_by_name(DATA, "leave-one-out")[0] is DATA
    assert split_by_name(DATA, "temporal")[1].name == "temporal"
    assert split_by_name(DATA, "cold")[1].name == "cold"
    with pytest.raises(DataError, match="there is no split 'random', expected one of leave-one-out, temporal, cold"):
        split_by_name(DATA, "random")


def test_targets_are_taken_by_position() -> None:
    """Positions and slices keep the three arrays together."""
    test = leave_one_out(DATA).test
    assert test.take(np.array([1])).users.tolist() == [2]
    assert test.take(slice(0, 1)).events.tolist() == [3]
