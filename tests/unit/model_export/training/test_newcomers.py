"""What the start token learns from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from model_export.data.splits import leave_one_out
from model_export.data.statistics import statistics_of
from model_export.training.material import REFIT, SELECT, TrainingMaterial
from model_export.training.newcomers import HALF_LIVES, Newcomers, best_half_life, newcomers
from model_export.training.outcomes import outcomes_of
from tests.small_data import dataset_of

START_S = 1_600_000_000
DAY_S = 86_400


def material_of(users):
    data = dataset_of(
        [[(row, START_S + round(day * DAY_S)) for row, day in user] for user in users],
        items=max(row for user in users for row, _ in user),
    )
    return TrainingMaterial(data, leave_one_out(data), statistics_of(data), None, outcomes_of(data))


def fashion(*, changes):
    """Users of days 0 to 99, each with four events within an hour, of items of the month or of any."""
    rng = np.random.default_rng(5)
    users = []
    for start in range(100):
        among = np.arange(1, 5) + (4 * (start // 10) if changes else 4 * rng.integers(10))
        users.append(
            [(int(row), start + time) for time, row in zip(np.sort(rng.random(4)), rng.permutation(among), strict=True)]
        )
    return users


def test_events_are_drawn_in_proportion_to_their_weights():
    """An event of weight 0 is never drawn, one of weight 3 three times as often as one of weight 1."""
    drawn = Newcomers(np.array([7, 8, 9]), np.array([1.0, 0.0, 3.0])).draw(4000, np.random.default_rng(1))
    counts = np.bincount(drawn, minlength=10)
    assert counts[8] == 0
    assert 2.6 < counts[9] / counts[7] < 3.4


def test_what_validation_holds_out_is_drawn_only_after_a_refit():
    """The selection's draws are training events; the refit's have the validation events, too, and never the test's."""
    material = material_of([[(1, 0), (2, 1), (3, 2), (4, 3)], [(1, 0.5), (2, 1.7), (5, 2.2), (6, 3.1)]])
    rng = np.random.default_rng(2)
    assert set(newcomers(material, SELECT).draw(500, rng).tolist()) == {0, 1, 4, 5}
    assert set(newcomers(material, REFIT).draw(500, rng).tolist()) == {0, 1, 2, 4, 5, 6}


def test_popularity_fades_only_where_validation_says_so():
    """Where each period has its own items and everybody is asked at the end, old events count for little."""
    steady = material_of(fashion(changes=False))
    changing = material_of(fashion(changes=True))
    late = changing.split.validation.take(slice(-10, None))
    asked_late = replace(changing, split=replace(changing.split, validation=late))
    assert best_half_life(steady) == HALF_LIVES[0]
    assert best_half_life(asked_late) <= 1 / 16


def test_without_real_times_nothing_fades():
    """Running numbers are no times."""
    data = dataset_of([[(1, 1), (2, 2), (3, 3)], [(3, 4), (2, 5), (1, 6)]], items=3)
    material = TrainingMaterial(data, leave_one_out(data), statistics_of(data), None, outcomes_of(data))
    assert best_half_life(material) == HALF_LIVES[0]
