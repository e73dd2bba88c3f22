"""The figures from which capacity and features are chosen."""

from __future__ import annotations

import numpy as np
import pytest

from model_export.data.statistics import statistics_of, timestamps_are_real
from tests.small_data import dataset_of

NOW_S = 1_600_000_000


def test_figures_of_a_dataset() -> None:
    """Counts, histories and repeats are what they say."""
    events = [[(1, NOW_S), (2, NOW_S), (1, NOW_S + 10)], [(3, NOW_S + 5)]]
    figures = statistics_of(dataset_of(events, items=4))
    assert (figures.users, figures.items, figures.events) == (2, 4, 4)
    assert (figures.mean_history, figures.median_history) == (2.0, 2.0)
    assert figures.repeat_share == 0.25


def test_computing_figures_leaves_the_data_alone() -> None:
    """The dataset is the same afterwards."""
    data = dataset_of([[(3, NOW_S), (2, NOW_S + 7), (1, NOW_S + 9)]], items=4)
    statistics_of(data)
    assert data.rows.tolist() == [3, 2, 1]
    assert np.diff(data.timestamps_ms).tolist() == [7000, 2000]


@pytest.mark.parametrize(
    ("seconds", "real"),
    [
        ([NOW_S, NOW_S + 3, NOW_S + 3, NOW_S + 90], True),
        ([NOW_S + 3600 * step for step in range(10)], False),
        (list(range(10)), False),
        ([NOW_S] * 5, False),
        ([NOW_S, NOW_S + 7], True),
        ([NOW_S], False),
    ],
)
def test_made_up_times_are_told_from_measured_ones(seconds: list[int], real: bool) -> None:
    """Constant steps, running numbers and one moment for all are no times."""
    data = dataset_of([[(1, second) for second in seconds]], items=1)
    assert timestamps_are_real(data) is real
