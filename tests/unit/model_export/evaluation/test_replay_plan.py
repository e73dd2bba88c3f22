"""What a replay asks, and what it reads from lists."""

import numpy as np
import pytest

from model_export.data.splits import leave_one_out
from model_export.evaluation.questions import Questions
from model_export.evaluation.replay_plan import NOT_LISTED, ReplayPlan, metrics_of_places, place_of_answer


@pytest.fixture
def questions(make_dataset) -> Questions:
    """Three users: five events before the answer; an answer that was seen; two events."""
    data = make_dataset([[1, 2, 3, 4, 5, 6], [7, 8, 7], [9, 1, 2]], item_count=9)
    return Questions.of(data, leave_one_out(data).test)


def test_seen_items_do_not_count_as_places(questions: Questions) -> None:
    """An answer behind two seen items and one other is second."""
    assert place_of_answer(np.array([1, 9, 2, 6]), questions, 0) == 2


def test_an_answer_that_was_seen_counts_itself(questions: Questions) -> None:
    """The answer is found even if the user had it before."""
    assert place_of_answer(np.array([8, 1, 7]), questions, 1) == 2


def test_an_answer_that_is_not_listed_is_beyond_every_cutoff(questions: Questions) -> None:
    """It counts as a miss at every K."""
    assert place_of_answer(np.array([1, 2, 3]), questions, 0) == NOT_LISTED
    assert metrics_of_places(np.array([NOT_LISTED]), 20)["HR@20"] == 0.0


def test_forgotten_items_get_room(questions: Questions) -> None:
    """Of five events a service that keeps two cannot leave out three: the list asked for is three longer."""
    assert ReplayPlan(top_k=10, kept_events=2).places_asked(questions, 0) == 13
    assert ReplayPlan(top_k=10, kept_events=2, inline_history=True).places_asked(questions, 0) == 10


def test_seen_answers_are_asked_without_exclusion(questions: Questions) -> None:
    """Where the answer was seen, nothing is left out and the list has room for everything seen."""
    plan = ReplayPlan(top_k=10)
    body = plan.rank_body(questions, 1, "u", questions.data.item_ids())
    assert (body["exclude_seen"], body["top_k"]) == (False, 12)
    positions, rows = plan.left_out(questions)
    assert set(positions.tolist()) == {0, 2}
    assert rows.tolist() == [1, 2, 3, 4, 5, 9, 1]


def test_each_user_draws_with_a_seed_of_its_own(questions: Questions) -> None:
    """With `sample`, question n is asked with seed + n, and the rules offline say the same."""
    plan = ReplayPlan(strategy="sample", seed=40, temperature=2.0)
    bodies = [plan.rank_body(questions, number, "u", questions.data.item_ids()) for number in range(3)]
    assert [body["seed"] for body in bodies] == [40, 41, 42]
    assert [plan.rules(questions, number).seed for number in range(3)] == [40, 41, 42]


def test_inline_histories_are_the_events_before(questions: Questions) -> None:
    """The request carries the visible events, oldest first, and the moment of the answer."""
    body = ReplayPlan(inline_history=True).rank_body(questions, 2, "u", questions.data.item_ids())
    assert [event["item"] for event in body["history"]] == ["i9", "i1"]
    assert body["timestamp"] == int(questions.data.timestamps_ms[-1])
    assert body["history"][0] == {"item": "i9", "action": "view", "timestamp": 1_700_000_000_000}
