"""What no split may ever do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from model_export.data.splits import SPLIT_NAMES, split_by_name
from model_export.errors import DataError
from tests.small_data import dataset_of

EVENT = st.tuples(st.integers(1, 20), st.integers(0, 200))
USERS = st.lists(
    st.lists(EVENT, max_size=9).map(lambda user: sorted(user, key=lambda event: event[1])), min_size=1, max_size=8
)


@pytest.mark.parametrize("name", SPLIT_NAMES)
@given(users=USERS)
def test_no_target_is_seen_in_training_or_in_its_own_history(name: str, users: list[list[tuple[int, ...]]]) -> None:
    """Targets lie behind their history and behind the training part, are of their user, and are held out once."""
    data = dataset_of(users, items=20)
    assume(len(data.rows))
    try:
        data, split = split_by_name(data, name)
    except DataError:
        assume(False)
    starts, ends = data.user_offsets[:-1], data.user_offsets[1:]
    assert (starts <= split.train_ends).all()
    assert (split.train_ends <= ends).all()
    assert (split.train_ends <= split.refit_ends).all()
    assert (split.refit_ends[split.validation.users] > split.validation.events).all()
    assert (split.refit_ends[split.test.users] == split.test.history_ends).all()
    for targets in (split.validation, split.test):
        assert (targets.events >= targets.history_ends).all()
        assert (targets.events >= split.train_ends[targets.users]).all()
        assert (targets.history_ends >= starts[targets.users]).all()
        assert (targets.events < ends[targets.users]).all()
        assert len(np.unique(targets.users)) == len(targets)
        before = data.timestamps_ms[np.maximum(targets.history_ends - 1, 0)]
        has_history = targets.history_ends > starts[targets.users]
        assert (before <= data.timestamps_ms[targets.events])[has_history].all()
    both = np.intersect1d(split.validation.events, split.test.events)
    assert not len(both)
