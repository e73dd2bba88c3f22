"""Ranks of answers over the full catalogue."""

import numpy as np
import pytest

from model_export.data.splits import leave_one_out
from model_export.errors import CommandError
from model_export.evaluation import ranks as ranks_module
from model_export.evaluation.questions import Questions
from model_export.evaluation.ranks import rank_answers


def _slow(data, target, history_end, user, scores_N):
    """Return masked rank, unmasked rank and AUC by counting one by one."""
    answer = data.rows[target]
    seen = set(data.rows[data.user_offsets[user] : history_end].tolist()) - {answer}
    others = [row for row in range(1, data.item_count + 1) if row != answer]
    unseen = [row for row in others if row not in seen]
    below = sum(scores_N[row] < scores_N[answer] for row in unseen)
    ties = sum(scores_N[row] == scores_N[answer] for row in unseen)
    return (
        1 + sum(scores_N[row] >= scores_N[answer] for row in unseen),
        1 + sum(scores_N[row] >= scores_N[answer] for row in others),
        (below + ties / 2) / len(unseen),
    )


@pytest.mark.parametrize("seed", range(5))
def test_ranks_equal_counting(seed: int, make_dataset, given_scores, monkeypatch) -> None:
    """Over random histories with repeats and tied scores, in small blocks, ranks and AUC equal counting one by one."""
    monkeypatch.setattr(ranks_module, "_SCORES_AT_ONCE", 40)
    rng = np.random.default_rng(seed)
    data = make_dataset([rng.integers(1, 13, rng.integers(3, 9)).tolist() for _ in range(30)], item_count=12)
    test = leave_one_out(data).test
    scorer = given_scores(rng.integers(0, 5, (30, 13)))
    ranks = rank_answers(scorer, Questions.of(data, test), list_length=4)
    slow = [
        _slow(data, event, end, user, scorer.scores_UN[user])
        for event, end, user in zip(test.events, test.history_ends, test.users, strict=True)
    ]
    assert ranks.masked_T.tolist() == [row[0] for row in slow]
    assert ranks.unmasked_T.tolist() == [row[1] for row in slow]
    np.testing.assert_allclose(ranks.auc_T, [row[2] for row in slow], rtol=1e-6)


def test_a_constant_score_ranks_last(make_dataset, given_scores) -> None:
    """Ties count against the scorer, and its AUC is one half."""
    data = make_dataset([[1, 2, 3]], item_count=10)
    ranks = rank_answers(given_scores(np.zeros((1, 11))), Questions.of(data, leave_one_out(data).test))
    assert (ranks.masked_T[0], ranks.unmasked_T[0], ranks.auc_T[0]) == (8, 10, 0.5)


def test_lists_hold_unseen_items_best_first(make_dataset, given_scores) -> None:
    """Seen items and padding are left out of the list, ties go by row, empty places are 0."""
    data = make_dataset([[1, 2, 3]], item_count=5)
    scores = [[99, 9, 8, 1, 4, 4]]
    ranks = rank_answers(given_scores(scores), Questions.of(data, leave_one_out(data).test), list_length=7)
    assert ranks.lists_TK.tolist() == [[4, 5, 3, 0, 0, 0, 0]]


def test_an_answer_seen_before_is_not_masked(make_dataset, given_scores) -> None:
    """If the user comes back to an item, that item stays in the list as the answer."""
    data = make_dataset([[1, 2, 1]], item_count=3)
    ranks = rank_answers(given_scores([[0, 5, 9, 1]]), Questions.of(data, leave_one_out(data).test))
    assert ranks.masked_T.tolist() == [1]


def test_nan_is_refused(make_dataset, given_scores) -> None:
    """A NaN score is an error that names the model."""
    data = make_dataset([[1, 2, 3]], item_count=3)
    with pytest.raises(CommandError, match="given returned a NaN"):
        rank_answers(given_scores([[0, np.nan, 1, 2]]), Questions.of(data, leave_one_out(data).test))


def test_wrong_shape_is_refused(make_dataset, given_scores) -> None:
    """Scores of another width than the catalogue are an error."""
    data = make_dataset([[1, 2, 3]], item_count=3)
    with pytest.raises(CommandError, match=r"shape \(1, 3\), expected \(1, 4\)"):
        rank_answers(given_scores([[0, 1, 2]]), Questions.of(data, leave_one_out(data).test))
