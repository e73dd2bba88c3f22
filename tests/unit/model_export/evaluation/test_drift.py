"""The gate around a change of tastes."""

import numpy as np
import pytest

from model_export.evaluation.drift import STEPS, gate_after_drift
from tests.unit.model_export.evaluation.conftest import dataset_of

CHANGED, STEADY = 12, 15
DATA = dataset_of(
    [[1, 1, 1, 2, 2, 2, 2, 2]] * CHANGED + [[1, 1, 1, 1, 1, 1, 1, 1, 1]] * STEADY + [[1, 1]] * 3, item_count=2
)
DRIFT_U = np.array([3] * CHANGED + [-1] * (STEADY + 3))


class Gate:
    """Reads the visible items: 0.75 for users who have just begun with item 2, else 0.5."""

    def short_term_share(self, questions):
        """Return the shares."""
        shares = []
        for start, end in zip(questions.starts, questions.targets.history_ends, strict=True):
            twos = int((DATA.rows[start:end] == 2).sum())
            shares.append(0.75 if 1 <= twos <= 2 else 0.5)
        return np.array(shares, np.float32)


def test_each_step_reads_what_was_known_then():
    """The gate is asked so many events after the change, and steady users at the same length of history."""
    points = gate_after_drift(Gate(), DATA, DRIFT_U)
    assert [point.step for point in points] == list(STEPS)
    assert [point.changed for point in points] == [0.5, 0.5, 0.5, 0.75, 0.75, 0.5]
    assert {point.steady for point in points} == {0.5}
    assert {point.users for point in points} == {CHANGED}
    assert [point.low > 0 for point in points] == [False, False, False, True, True, False]


def test_the_interval_covers_what_users_differ_by():
    """Half the users at +0.2 and half at 0 is a difference of 0.1, surely above 0, give or take their spread."""

    class Torn(Gate):
        def short_term_share(self, questions):
            shares = super().short_term_share(questions)
            return np.where((shares > 0.5) & (questions.targets.users % 2 == 0), 0.7, 0.5)

    point = gate_after_drift(Torn(), DATA, DRIFT_U)[STEPS.index(1)]
    assert (point.low + point.high) / 2 == pytest.approx(0.1)
    assert point.high - point.low == pytest.approx(2 * 1.96 * 0.1 / CHANGED**0.5)


def test_steady_partners_differ():
    """Each changed user is compared with a steady user of its own, whose history is at least as long."""
    asked = []

    class Listening(Gate):
        def short_term_share(self, questions):
            asked.append(questions.targets.users.tolist())
            return super().short_term_share(questions)

    gate_after_drift(Listening(), DATA, DRIFT_U)
    steady = asked[1]
    assert len(set(steady)) == len(steady) == CHANGED
    assert set(steady) <= set(range(CHANGED, CHANGED + STEADY))


def test_without_a_change_there_is_nothing_to_say():
    """A shop of steady users has no such section."""
    assert gate_after_drift(Gate(), DATA, np.full(len(DRIFT_U), -1)) == []
