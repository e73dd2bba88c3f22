"""What is asked."""

import numpy as np

from model_export.data.splits import leave_one_out
from model_export.evaluation.questions import Questions


def _questions(make_dataset) -> Questions:
    data = make_dataset([[1, 2, 3, 4], [5, 1, 5, 2, 3], [4, 2, 1]], item_count=6)
    return Questions.of(data, leave_one_out(data).test)


def test_answers_are_the_last_events(make_dataset) -> None:
    """The answer of each test question is the user's last item."""
    assert _questions(make_dataset).answers.tolist() == [4, 3, 1]


def test_histories_end_before_the_answer(make_dataset) -> None:
    """Encoded histories hold the events before the answer, oldest first, with ages in seconds."""
    history = _questions(make_dataset).histories(history_length=3)
    assert history.rows_BH.tolist() == [[1, 2, 3], [1, 5, 2], [4, 2, 0]]
    assert history.age_s_BH[0].tolist() == [10_800.0, 7200.0, 3600.0]


def test_a_colder_user_shows_less_but_is_masked_alike(make_dataset) -> None:
    """With one visible event the history is the latest one, and all seen items stay known to the mask."""
    cold = _questions(make_dataset).with_latest(1)
    assert cold.histories(10).rows_BH.tolist() == [[3], [2], [2]]
    assert cold.seen_rows()[1].tolist() == [1, 2, 3, 5, 1, 5, 2, 4, 2]


def test_no_visible_event_is_an_empty_history(make_dataset) -> None:
    """With no visible event the history is padding alone."""
    assert _questions(make_dataset).with_latest(0).histories(10).rows_BH.sum() == 0


def test_blocks_hold_every_question_once(make_dataset) -> None:
    """Blocks cover all questions, shortest histories first, and keep question and position together."""
    questions = _questions(make_dataset)
    blocks = list(questions.blocks(2))
    assert np.concatenate([positions for positions, _ in blocks]).tolist() == [2, 0, 1]
    assert np.concatenate([block.answers for _, block in blocks]).tolist() == [1, 4, 3]
