"""Histories of many targets at once are those of one after the other."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.contract.encoding import encode_history, pack_histories
from model_export.data.history_arrays import histories_of
from model_export.data.splits import Targets
from tests.small_data import dataset_of

EVENT = st.tuples(st.integers(1, 6), st.integers(0, 50), st.integers(0, 2))
USERS = st.lists(st.lists(EVENT, max_size=9).map(lambda user: sorted(user, key=lambda event: event[1])), min_size=1)


@given(USERS, st.integers(1, 6), st.data())
def test_batches_equal_the_contract_one_by_one(
    users: list[list[tuple[int, ...]]], history_length: int, draw: st.DataObject
) -> None:
    """`histories_of` is `encode_history` of each target's visible events, packed."""
    data = dataset_of(users, items=6)
    targets = _targets(users, draw)
    expected = []
    for event, end, user in zip(targets.events, targets.history_ends, targets.users, strict=True):
        seen = slice(data.user_offsets[user], end)
        expected.append(
            encode_history(
                data.rows[seen],
                data.action_ids[seen],
                data.timestamps_ms[seen],
                now_ms=int(data.timestamps_ms[event]),
                history_length=history_length,
            )
        )
    found, wanted = histories_of(data, targets, history_length), pack_histories(expected)
    for name in ("rows_BH", "actions_BH", "age_s_BH"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name), strict=True)


def _targets(users: list[list[tuple[int, ...]]], draw: st.DataObject) -> Targets:
    """Choose events of users, each predicted from a part of what came before it."""
    offsets = np.cumsum([0, *map(len, users)])
    chosen = draw.draw(st.lists(st.integers(0, max(int(offsets[-1]) - 1, 0)), max_size=5)) if offsets[-1] else []
    owners = [int(np.searchsorted(offsets, event, side="right")) - 1 for event in chosen]
    ends = [draw.draw(st.integers(int(offsets[user]), event)) for event, user in zip(chosen, owners, strict=True)]
    return Targets(*(np.array(values, np.int64) for values in (chosen, ends, owners)))
