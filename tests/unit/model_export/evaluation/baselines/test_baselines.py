"""Each baseline against its definition written out, and against chance."""

import numpy as np
import pytest

from model_export.data.splits import leave_one_out
from model_export.errors import CommandError
from model_export.evaluation.baselines import ease as ease_module
from model_export.evaluation.baselines.ease import Ease
from model_export.evaluation.baselines.interactions import user_item_matrix
from model_export.evaluation.baselines.item_knn import ItemKnn
from model_export.evaluation.baselines.matrix_factorisation import Weights, solve_vectors
from model_export.evaluation.baselines.popularity import Popularity
from model_export.evaluation.baselines.recent_popularity import RecentPopularity
from model_export.evaluation.baselines.suite import Baseline, baselines_for, fit_for_test, fit_for_validation
from model_export.evaluation.baselines.text_similarity import TextSimilarity, tf_idf
from model_export.evaluation.metrics import ndcg
from model_export.evaluation.questions import Questions
from model_export.evaluation.ranks import rank_answers


def test_nothing_after_the_known_ends_is_counted(make_dataset) -> None:
    """For validation only training events are known, for test also the validation events; test events never."""
    data = make_dataset([[1, 2, 3, 4], [1, 2]], item_count=4)
    split = leave_one_out(data)
    questions = Questions.of(data, split.test)
    assert Popularity.fit(data, split.train_ends).scores(questions)[0].tolist() == [0, 2, 2, 0, 0]
    assert Popularity.fit(data, split.refit_ends).scores(questions)[0].tolist() == [0, 2, 2, 1, 0]


def test_recent_popularity_halves(make_dataset) -> None:
    """An event one half-life before the question weighs half of one just before it."""
    data = make_dataset([[1, 2, 3, 4, 3]], item_count=4)
    scorer = RecentPopularity.fit(data, np.array([3]), half_life=0.5)
    scores_N = scorer.scores(Questions.of(data, leave_one_out(data).test))[0]
    np.testing.assert_allclose(scores_N[[1, 2, 4]] / scores_N[3], [0.25, 0.5, 0.0], rtol=1e-5)


def test_recent_popularity_knows_nothing_of_later(make_dataset) -> None:
    """A question is answered from the events before its own moment."""
    data = make_dataset([[1, 2, 3, 2, 2, 2, 2]], item_count=3)
    scorer = RecentPopularity.fit(data, np.array([7]), half_life=1.0)
    questions = Questions.of(data, leave_one_out(data).validation)
    early = Questions(data, type(questions.targets)(np.array([2]), np.array([2]), np.array([0])), np.array([0]))
    assert scorer.scores(early)[0, 3] == 0.0
    assert scorer.scores(early)[0, 1] > 0.0


def test_item_knn_by_hand(make_dataset) -> None:
    """The score is the sum of shrunk cosines with the visible items, over each item's nearest neighbours only."""
    data = make_dataset([[1, 2, 3], [1, 2, 4], [1, 3, 4, 2]], item_count=4)
    ends = data.user_offsets[1:]
    questions = Questions.of(data, leave_one_out(data).test).subset(np.array([0]))
    scores_N = ItemKnn.fit(data, ends, shrink=2.0, neighbours=10).scores(questions)[0]
    # Items 1 and 2 are visible. Users of 1: 3, of 2: 3, of 3: 2, of 4: 2; all of 3's and 4's users also used 1 and 2.
    expected = 2 / (np.sqrt(6) + 2)
    np.testing.assert_allclose(scores_N[[3, 4]], [2 * expected, 2 * expected], rtol=1e-6)
    one_neighbour = ItemKnn.fit(data, ends, shrink=2.0, neighbours=1).scores(questions)[0]
    np.testing.assert_allclose(one_neighbour[3], expected, rtol=1e-6)


def test_item_knn_in_blocks_is_the_same(taste_shop, monkeypatch) -> None:
    """Working through the items in small blocks changes nothing."""
    data, split = taste_shop
    questions = Questions.of(data, split.test)
    whole = ItemKnn.fit(data, split.train_ends, shrink=1.0, neighbours=5).scores(questions)
    monkeypatch.setattr("model_export.evaluation.baselines.item_knn._ITEMS_AT_ONCE", 7)
    parts = ItemKnn.fit(data, split.train_ends, shrink=1.0, neighbours=5).scores(questions)
    np.testing.assert_array_equal(whole, parts)


def test_ease_is_the_regularised_least_squares_solution(taste_shop, monkeypatch) -> None:
    """Each column solves its ridge regression on all other items, the diagonal held at zero."""
    monkeypatch.setattr(ease_module, "_ROWS_AT_ONCE", 16)
    data, split = taste_shop
    scorer = Ease.fit(data, split.train_ends, ridge=5.0)
    matrix = user_item_matrix(data, split.train_ends).toarray().astype(np.float64)
    for item in (1, 17, 60):
        others = [row for row in range(61) if row != item]
        design = matrix[:, others]
        solution = np.linalg.solve(design.T @ design + 5.0 * np.eye(60), design.T @ matrix[:, item])
        np.testing.assert_allclose(scorer._weights_NN[others, item], solution, atol=1e-4)
        assert scorer._weights_NN[item, item] == 0.0


def test_ease_refuses_a_catalogue_that_does_not_fit(taste_shop, monkeypatch) -> None:
    """More items than the dense matrix is made for are an error that says how many it takes."""
    monkeypatch.setattr(ease_module, "MOST_ITEMS", 10)
    with pytest.raises(CommandError, match="60 x 60 items, at most 10"):
        Ease.fit(taste_shop[0], taste_shop[1].train_ends, ridge=1.0)


def test_solved_vectors_are_the_least_squares_solution(taste_shop) -> None:
    """Each row's vector minimises its weighted loss: the solution of its normal equations, row by row."""
    data, split = taste_shop
    observed = user_item_matrix(data, split.train_ends)
    others = np.random.default_rng(0).normal(size=(61, 8)).astype(np.float32)
    solved = solve_vectors(observed, others, Weights(unobserved=0.3, ridge=0.05))
    for row in (0, 5, 299):
        mine = others[observed.indices[observed.indptr[row] : observed.indptr[row + 1]]].astype(np.float64)
        left = mine.T @ mine + 0.3 * others.T @ others + 0.05 * (len(mine) + 0.3 * 61) * np.eye(8)
        np.testing.assert_allclose(solved[row], np.linalg.solve(left, mine.sum(axis=0)), rtol=1e-3, atol=1e-4)


def test_solving_in_small_blocks_is_the_same(taste_shop, monkeypatch) -> None:
    """Rows are solved independently of how they are blocked; a row without events stays zero."""
    data, split = taste_shop
    observed = user_item_matrix(data, split.train_ends).T.tocsr()
    others = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)
    whole = solve_vectors(observed, others, Weights(0.3, 0.05))
    monkeypatch.setattr("model_export.evaluation.baselines.matrix_factorisation._CELLS_AT_ONCE", 500)
    np.testing.assert_allclose(solve_vectors(observed, others, Weights(0.3, 0.05)), whole, rtol=1e-4, atol=1e-6)
    assert not whole[0].any()


def test_tf_idf_rows_are_unit_and_rare_words_weigh_more() -> None:
    """Rows have length 1, row 0 and empty texts are zero, and a word of one text weighs more than one of all."""
    matrix = tf_idf(["red shirt", "red hat", ""]).toarray()
    np.testing.assert_allclose(np.linalg.norm(matrix, axis=1), [0, 1, 1, 0], rtol=1e-6)
    assert matrix[1, 1] > matrix[1, 0]


def test_text_similarity_weighs_the_latest_item_most(make_dataset) -> None:
    """With decay one half, an item like the newest event scores twice one like the event before."""
    data = make_dataset([[1, 2, 3, 3]], item_count=4, texts=["apple", "pear", "plum", "fig"])
    questions = Questions(data, leave_one_out(data).validation, np.array([0]))
    scores_N = TextSimilarity.fit(data, data.user_offsets[1:], decay=0.5).scores(questions)[0]
    np.testing.assert_allclose(scores_N[[1, 2, 3, 4]], [0.5, 1.0, 0.0, 0.0], rtol=1e-6)


def test_every_baseline_beats_chance(taste_shop) -> None:
    """Where users stay in one group of ten, all baselines that look at the history find the group."""
    data, split = taste_shop
    questions = Questions.of(data, split.test)
    for baseline in baselines_for(data):
        value = ndcg(rank_answers(fit_for_test(baseline, data, split).scorer, questions).masked_T, 10).mean()
        assert baseline.name in {"popularity", "recent popularity"} or value > 0.35, baseline.name


def test_the_best_settings_win_on_validation(taste_shop) -> None:
    """Of several settings the one with the highest validation NDCG is taken, not the first."""
    data, split = taste_shop

    class Sign:
        name = "sign"

        def __init__(self, sign: float) -> None:
            self.sign = sign

        def scores(self, questions):
            group_N = (np.arange(61) - 1) // 10
            return self.sign * (group_N[None, :] == group_N[questions.answers][:, None]).astype(np.float32)

    baseline = Baseline("sign", lambda _data, _ends, sign: Sign(sign), ({"sign": -1.0}, {"sign": 1.0}))
    assert fit_for_validation(baseline, data, split).settings == {"sign": 1.0}
