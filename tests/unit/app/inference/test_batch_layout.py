"""Requests of one shape are packed and unpacked without touching each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.contract.encoding import EMPTY_HISTORY, EncodedHistory
from app.errors import ScoringFailed
from app.inference.batch_layout import BatchLayout, Question
from app.inference.batch_policy import BatchPolicy

LAYOUT = BatchLayout((4, 8), (3,), (1, 2, 4))


def question(rows, events=0, weights=None):
    history = EncodedHistory(
        np.arange(1, events + 1), np.zeros(events, np.int64), np.arange(events, 0, -1).astype(np.float32)
    )
    return Question(history, np.array(rows), weights)


@given(st.lists(st.lists(st.integers(1, 99), min_size=1, max_size=4), min_size=1, max_size=4))
def test_each_request_gets_back_what_belongs_to_its_own_rows(asked):
    """Whatever shares a run, unpacking the packed rows gives every request its own rows in order."""
    questions = [question(rows) for rows in asked]
    batch = LAYOUT.pack(questions)
    scores = LAYOUT.unpack(batch.candidate_rows_BC.astype(np.float32), questions)
    assert [part.tolist() for part in scores] == asked


@given(st.integers(1, 8), st.integers(0, 3), st.integers(1, 4))
def test_the_shape_of_a_request_depends_on_itself_alone(count, events, neighbours):
    """The width of a request's part of a run is the same alone and with neighbours."""
    one = question(range(1, count + 1), events)
    alone = LAYOUT.pack([one])
    shared = LAYOUT.pack([one] * neighbours)
    assert alone.candidate_rows_BC.shape[1] == shared.candidate_rows_BC.shape[1]
    assert alone.history.rows_BH.shape[1] == shared.history.rows_BH.shape[1] == 3
    assert np.array_equal(alone.candidate_rows_BC[0], shared.candidate_rows_BC[0])


def test_a_lone_request_is_not_copied():
    """Without buckets the candidate rows go to the model as they are."""
    rows = np.arange(1, 101)
    assert BatchLayout().pack([Question(EMPTY_HISTORY, rows)]).candidate_rows_BC.base is rows


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=3))
def test_a_run_may_be_as_wide_as_its_longest_request(sizes):
    """Where lengths need not match, a run has the width of its longest history and candidates, and no more."""
    layout = BatchLayout(batch_buckets=(1, 2, 3), pads_to_longest=True)
    questions = [question(range(1, count + 1), events) for count, events in sizes]
    batch = layout.pack(questions)
    assert batch.candidate_rows_BC.shape == (len(sizes), max(count for count, _ in sizes))
    assert batch.history.rows_BH.shape[1] == max(1, *(events for _, events in sizes))
    parts = layout.unpack(batch.candidate_rows_BC.astype(np.float32), questions)
    assert [len(part) for part in parts] == [count for count, _ in sizes]
    assert {layout.shape_of(question) for question in questions} == {(0, 0, False)}


def test_requests_share_while_padding_is_cheaper_than_runs():
    """Two requests share a run if what is padded costs no more than the run that is saved."""
    policy = BatchPolicy(run_events=40.0, candidate_events=0.1, max_cells=1000)
    assert policy.pads_cheaply([(50, 100), (10, 100)])
    assert not policy.pads_cheaply([(51, 100), (10, 100)])
    assert not policy.pads_cheaply([(50, 110), (10, 100)])
    assert policy.pads_cheaply([(60, 100), (20, 100), (60, 100)])
    assert not policy.pads_cheaply([(1, 501), (1, 501)])


def test_weights_travel_with_their_request():
    """Each request's objective weights stand in its own place; padding repeats the last."""
    weighted = [question([n], weights=np.array([n, 0], np.float32)) for n in (1, 2, 3)]
    weights = LAYOUT.pack(weighted).objective_weights_BO
    assert weights is not None
    assert weights[:, 0].tolist() == [1, 2, 3, 3]


def test_an_answer_of_another_shape_is_refused():
    """Too few rows or columns are an error, never a shift."""
    questions = [question([1]), question([2])]
    for shape in ((1, 4), (2, 3), (3, 4)):
        with pytest.raises(ScoringFailed, match="expected"):
            LAYOUT.unpack(np.zeros(shape, np.float32), questions)
