"""Slices of the questions."""

import numpy as np

from model_export.data.splits import cold_items, leave_one_out
from model_export.evaluation.baselines.popularity import Popularity
from model_export.evaluation.questions import Questions
from model_export.evaluation.slices import (
    by_answer_popularity,
    by_history_length,
    cold_protocol,
    cold_users,
    slice_results,
)


def test_slices_divide_the_questions(taste_shop) -> None:
    """Every question is in exactly one slice of each kind."""
    data, split = taste_shop
    questions = Questions.of(data, split.test)
    for masks in (by_history_length(questions), by_answer_popularity(questions, split.refit_ends)):
        assert np.sum(list(masks.values()), axis=0).tolist() == [1] * len(questions)


def test_an_answer_without_known_events_is_naturally_cold(make_dataset) -> None:
    """The slice of never seen items holds the answers that no known event has."""
    data = make_dataset([[1, 2, 3], [2, 1, 2], [1, 3, 4]], item_count=4)
    split = leave_one_out(data)
    masks = by_answer_popularity(Questions.of(data, split.test), split.refit_ends)
    assert masks["never seen in training"].tolist() == [False, False, True]
    assert np.sum(list(masks.values()), axis=0).tolist() == [1, 1, 1]


def test_slice_metrics_are_those_of_the_part() -> None:
    """A slice's hit rate is over its own questions."""
    results = slice_results(np.array([1, 20, 1]), {"two": np.array([True, True, False])}, 100)
    assert (results[0].questions, results[0].hit_rate, results[0].random_hit_rate) == (2, 0.5, 0.1)


def test_a_model_without_text_finds_no_cold_item(taste_shop) -> None:
    """Popularity ranks no item that it does not know among the first, and randomly among cold items nothing either."""
    data, _ = taste_shop
    thinned, split = cold_items(data, share=0.3)
    scorer = Popularity.fit(thinned, split.refit_ends)
    warm, cold, among = cold_protocol(scorer, Questions.of(thinned, split.test), split.cold_rows)
    assert warm.hit_rate > 0
    assert (cold.hit_rate, among.hit_rate) == (0.0, 0.0)
    assert warm.questions + cold.questions == len(split.test)
    assert among.random_hit_rate == 10 / 18


def test_a_text_model_is_asked_among_cold_items(taste_shop) -> None:
    """A scorer that knows the answer's group finds cold items among the cold ones."""
    data, _ = taste_shop
    thinned, split = cold_items(data, share=0.3)

    class GroupScorer:
        name = "group"

        def scores(self, questions):
            group_N = (np.arange(61) - 1) // 10
            return (group_N[None, :] == group_N[questions.answers][:, None]) + np.arange(61)[None, :] * 1e-3

    among = cold_protocol(GroupScorer(), Questions.of(thinned, split.test), split.cold_rows)[2]
    assert among.hit_rate == 1.0


def test_cold_users_see_ever_more(taste_shop) -> None:
    """One row for 0, 1, 2, 5 and all visible events, each over all questions."""
    data, split = taste_shop
    rows = cold_users(Popularity.fit(data, split.refit_ends), Questions.of(data, split.test))
    assert [row.slice_name.split()[0] for row in rows] == ["0", "1", "2", "5", "all"]
    assert {row.questions for row in rows} == {300}
