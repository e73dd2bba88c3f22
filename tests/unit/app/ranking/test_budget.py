"""What each stage may take of a request's time."""

from __future__ import annotations

import time

import pytest

from app.errors import BudgetExceeded
from app.ranking.budget import Budget


@pytest.mark.parametrize(("total_s", "kept_back_s"), [(0.1, 0.005), (0.002, 0.0005)])
def test_time_is_kept_back_for_the_list(total_s, kept_back_s):
    """A twentieth of the budget, and never less than half a millisecond."""
    budget = Budget(100.0, total_s)
    assert budget.model_deadline_s == pytest.approx(100.0 + total_s - kept_back_s)


def test_the_history_gets_its_share_and_no_more_than_the_store_is_given():
    """At most 40% of what is left, or the store's own limit where that is less."""
    budget = Budget(time.monotonic(), 1000.0)
    assert budget.history_timeout_s(5000.0) == pytest.approx(0.4 * 950.0, abs=5.0)
    assert budget.history_timeout_s(0.02) == 0.02


def test_without_time_the_history_is_not_asked_for():
    """A budget that is over is said, with its length."""
    with pytest.raises(BudgetExceeded, match="100 ms"):
        Budget(time.monotonic() - 1.0, 0.1).history_timeout_s(0.02)
