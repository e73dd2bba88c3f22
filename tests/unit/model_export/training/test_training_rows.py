"""Rows of inputs and targets."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from model_export.training.training_rows import EventLabels, length_bucketed_batches, training_batch, training_rows
from tests.small_data import dataset_of

DATA = dataset_of([[(1, 10), (2, 20, 1), (3, 35), (4, 95, 2)], [(2, 15)]], items=5)
LABELS = EventLabels(DATA.action_ids, np.array([1, 2, 3, 5, 2]))


@given(st.lists(st.integers(0, 40), min_size=1, max_size=6), st.integers(1, 9))
def test_every_event_is_a_target_once_with_enough_before_it(lengths, history_length):
    """Windows cover each user's events once, and no row is longer than the model reads."""
    ends = np.cumsum(lengths)
    starts = ends - np.array(lengths)
    rows = training_rows(starts, ends, history_length)
    targets = [
        event
        for first, last in zip(rows.first_targets.tolist(), rows.last_targets.tolist(), strict=True)
        for event in range(first, last + 1)
    ]
    assert sorted(targets) == list(range(int(ends[-1])))
    assert all(rows.lengths - 1 <= history_length)
    for first_input, first_target in zip(rows.first_inputs, rows.first_targets, strict=True):
        user_start = int(starts[np.searchsorted(ends, first_target, side="right")])
        assert first_target - first_input >= min(first_target - user_start, history_length // 2)


def test_a_batch_predicts_each_event_from_those_before():
    """Inputs are shifted against targets; ages count back from the last target; the start token has its own targets."""
    rows = training_rows(DATA.user_offsets[:-1], DATA.user_offsets[1:], 10)
    batch = training_batch(DATA, rows, np.array([0, 1]), LABELS, np.array([3, 2]))
    assert batch.rows_BH.tolist() == [[1, 2, 3], [0, 0, 0]]
    assert batch.actions_BH.tolist() == [[0, 1, 0], [0, 0, 0]]
    assert batch.age_s_BH.tolist() == [[85.0, 75.0, 60.0], [0.0, 0.0, 0.0]]
    assert batch.targets_BL.tolist() == [[4, 2, 3, 4], [3, 0, 0, 0]]
    assert batch.outcomes_BL.tolist() == [[2, 1, 0, 2], [0, 0, 0, 0]]
    assert batch.available_BL.tolist() == [[5, 2, 3, 5], [3, 0, 0, 0]]


def test_a_single_event_still_has_a_column_of_history():
    """A batch of users with one event predicts it from the start token."""
    rows = training_rows(DATA.user_offsets[:-1], DATA.user_offsets[1:], 10)
    batch = training_batch(DATA, rows, np.array([1]), LABELS, np.array([4]))
    assert batch.rows_BH.tolist() == [[0]]
    assert batch.targets_BL.tolist() == [[2, 0]]


def test_a_later_window_counts_only_its_new_targets():
    """What an earlier window has predicted is history in the next."""
    rows = training_rows(np.array([0]), np.array([4]), 2)
    batch = training_batch(DATA, rows, np.array([1]), LABELS, np.array([4]))
    assert batch.rows_BH.tolist() == [[2, 3]]
    assert batch.targets_BL.tolist() == [[0, 0, 4]]


@given(st.lists(st.integers(1, 30), min_size=1, max_size=60), st.integers(1, 80), st.integers(0, 3))
def test_batches_hold_each_row_once_and_fit(lengths, positions, seed):
    """Every row is in one batch; a batch of several rows is no larger than asked for."""
    lengths = np.array(lengths)
    batches = list(length_bucketed_batches(lengths, positions_per_batch=positions, random=np.random.default_rng(seed)))
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert all(len(batch) == 1 or len(batch) * lengths[batch].max() <= positions for batch in batches)


def test_rows_among_a_subset_are_positions_in_it():
    """A batch for a part of the table points into that part; padding stays padding."""
    data = dataset_of([[(2, 10), (5, 20)], [(5, 15)]], items=5)
    rows = training_rows(data.user_offsets[:-1], data.user_offsets[1:], 10)
    labels = EventLabels(data.action_ids, np.array([5, 5, 5]))
    batch = training_batch(data, rows, np.array([0, 1]), labels, np.array([0, 2]))
    among = batch.with_rows_among(batch.rows_BH.new_tensor([0, 2, 5]))
    assert among.rows_BH.tolist() == [[1], [0]]
    assert among.targets_BL.tolist() == [[1, 2], [2, 0]]
