"""The promise of `OnnxRanker`, clause by clause."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest

from app.contract.encoding import EMPTY_HISTORY, EncodedHistory, pack_histories
from app.contract.tensors import HistoryBatch, RankingBatch
from app.errors import BundleError, ScoringFailed
from app.inference.bundle import Bundle, open_bundle
from app.inference.onnx_ranker import OnnxRanker
from app.inference.provider import obtain_provider

if TYPE_CHECKING:
    from pathlib import Path

CPU = obtain_provider("cpu")


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    """Return the tiny bundle, opened."""
    return open_bundle(tiny_bundle, provider=CPU)


def history_of(*rows: int) -> HistoryBatch:
    """Return one history of clicks, a minute apart."""
    count = len(rows)
    ages = np.arange(count, 0, -1, dtype=np.float32) * 60
    return pack_histories([EncodedHistory(np.array(rows, np.int64), np.zeros(count, np.int64), ages)])


def test_a_score_for_each_candidate_comes_out_as_float32(bundle: Bundle) -> None:
    """B x C candidates give B x C scores, float32, whatever the graph computes in."""
    batch = RankingBatch(pack_histories([EMPTY_HISTORY] * 3), np.ones((3, 7), np.int64))
    scores = bundle.ranker.score(batch)
    assert ((3, 7), np.float32) == (scores.shape, scores.dtype)


def test_history_changes_the_order(bundle: Bundle) -> None:
    """A click moves its category up: the scores are the user's own."""
    rows = np.arange(1, 201)[None]
    cold = bundle.ranker.score(RankingBatch(pack_histories([EMPTY_HISTORY]), rows))
    warm = bundle.ranker.score(RankingBatch(history_of(4, 8, 12), rows))
    assert not np.array_equal(np.argsort(-cold), np.argsort(-warm))


def test_the_neighbours_in_a_batch_do_not_matter(bundle: Bundle) -> None:
    """The same request gets the same scores alone and among others."""
    rows = np.arange(1, 51)[None]
    alone = bundle.ranker.score(RankingBatch(history_of(4, 8), rows))[0]
    padded = HistoryBatch(*(np.pad(array, ((0, 2), (0, 3))) for array in (
        history_of(4, 8).rows_BH, history_of(4, 8).actions_BH, history_of(4, 8).age_s_BH)))  # fmt: skip
    among = bundle.ranker.score(RankingBatch(padded, np.repeat(rows, 3, axis=0)))[0]
    np.testing.assert_allclose(alone, among, atol=1e-5)


def test_catalogue_scores_cover_every_row(bundle: Bundle) -> None:
    """The retriever answers with one score a row of the table."""
    scores = bundle.ranker.score_catalog(pack_histories([EMPTY_HISTORY] * 2))
    assert (2, bundle.manifest.item_count + 1) == scores.shape == (2, bundle.ranker.row_count)


def test_both_graphs_tell_the_same_score(bundle: Bundle) -> None:
    """With the default objective the ranker's score is the retriever's."""
    history, rows = history_of(5, 6), np.arange(1, 201)[None]
    np.testing.assert_allclose(
        bundle.ranker.score(RankingBatch(history, rows)), bundle.ranker.score_catalog(history)[:, 1:], atol=1e-4
    )


def test_objective_weights_change_the_scores(bundle: Bundle) -> None:
    """The optional input has a default and can be given."""
    history, rows = history_of(5), np.arange(1, 51)[None]
    given = bundle.ranker.score(RankingBatch(history, rows, np.array([[1.0, 0.0]], np.float32)))
    other = bundle.ranker.score(RankingBatch(history, rows, np.array([[0.0, 1.0]], np.float32)))
    np.testing.assert_array_equal(bundle.ranker.score(RankingBatch(history, rows)), given)
    assert not np.array_equal(given, other)


def test_a_table_in_use_can_be_replaced(tiny_bundle: Path, bundle: Bundle) -> None:
    """A grown table is used from the next call on, and a pinned ranker keeps the one it had."""
    ranker = OnnxRanker(tiny_bundle, bundle.item_table, provider=CPU)
    pinned = ranker.pinned()
    ranker.use_item_table(np.concatenate([bundle.item_table, bundle.item_table[1:4]]))
    assert (ranker.row_count, pinned.row_count) == (204, 201)
    assert ranker.score(RankingBatch(history_of(203), np.array([[203]]))).shape == (1, 1)


def test_runs_see_one_table_from_beginning_to_end(tiny_bundle: Path, bundle: Bundle) -> None:
    """Threads that score while the table is replaced get the answers of the old table or the new, never a mixture."""
    old = np.ascontiguousarray(bundle.item_table)
    new = np.concatenate([old, old])
    ranker = OnnxRanker(tiny_bundle, old, provider=CPU)
    history = history_of(3, 9, 27)
    rows = np.arange(1, 201)[None]
    expected = ranker.score(RankingBatch(history, rows))

    def check(_: int) -> tuple[int, bool]:
        catalog = ranker.score_catalog(history)
        return catalog.shape[1], np.array_equal(ranker.score(RankingBatch(history, rows)), expected)

    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(check, range(200))
        for turn in range(100):
            ranker.use_item_table(new if turn % 2 else old)
        found = list(answers)
    assert {True} == {same for _, same in found}
    assert {len(old), len(new)} >= {rows for rows, _ in found}


def test_many_threads_get_their_own_scores(bundle: Bundle) -> None:
    """Concurrent calls do not touch each other's answers."""
    rows = np.arange(1, 101)[None]
    batches = [RankingBatch(history_of(row), rows) for row in range(1, 41)]
    expected = [bundle.ranker.score(batch) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(bundle.ranker.score, batches * 5))
    assert all(np.array_equal(a, b) for a, b in zip(expected * 5, found, strict=True))


@pytest.mark.parametrize(
    "table", [np.zeros((5, 16), np.float64), np.zeros((5, 32), np.float32)[:, ::2], np.zeros(16, np.float32)]
)
def test_a_table_of_another_kind_is_refused(bundle: Bundle, table: np.ndarray) -> None:
    """Dtype, axes and memory order are checked before a run could read past the end."""
    with pytest.raises(ValueError, match=r"expected float32\[rows, width\] in C order"):
        bundle.ranker.use_item_table(table)


def test_a_row_beyond_the_table_fails_that_call_alone(bundle: Bundle) -> None:
    """A bad batch is `ScoringFailed`, and the next one works."""
    with pytest.raises(ScoringFailed, match="the model failed"):
        bundle.ranker.score(RankingBatch(history_of(1), np.array([[100_000]])))
    assert bundle.ranker.score(RankingBatch(history_of(1), np.array([[1]]))).shape == (1, 1)


def test_a_score_that_is_not_finite_is_an_error(tiny_bundle: Path, bundle: Bundle) -> None:
    """NaN never reaches a sort."""
    table = np.array(bundle.item_table)
    table[7] = np.nan
    ranker = OnnxRanker(tiny_bundle, table, provider=CPU)
    with pytest.raises(ScoringFailed, match="1 of 2 scores are not finite"):
        ranker.score(RankingBatch(history_of(1), np.array([[7, 8]])))


def test_objective_weights_need_a_graph_that_takes_them(bundle: Bundle) -> None:
    """Weights are never dropped in silence."""
    ranker = bundle.ranker.pinned()
    ranker.takes_objectives = False
    batch = RankingBatch(history_of(1), np.array([[7, 8]]), np.ones((1, 2), np.float32))
    with pytest.raises(ScoringFailed, match="takes none"):
        ranker.score(batch)


def spoiled(tiny_bundle: Path, folder: Path, change: str) -> Path:
    """Return a bundle folder whose ranker was changed."""
    copy = shutil.copytree(tiny_bundle, folder / "bundle")
    model = onnx.load(copy / "ranker.onnx")
    for value in [*model.graph.input, *model.graph.output]:
        if change == "dtype" and value.name == "history_age_s":
            value.type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    if change == "name":
        for node in model.graph.node:
            node.input[:] = ["wanted_rows" if name == "candidate_rows" else name for name in node.input]
        next(value for value in model.graph.input if value.name == "candidate_rows").name = "wanted_rows"
    if change == "dtype":
        model.graph.node.insert(0, onnx.helper.make_node("Cast", ["history_age_s"], ["age"], to=1))
        for node in model.graph.node[1:]:
            node.input[:] = ["age" if name == "history_age_s" else name for name in node.input]
    onnx.save(model, copy / "ranker.onnx")
    return copy


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("dtype", r"ranker\.onnx: input history_age_s is tensor\(double\), expected tensor\(float\)"),
        ("name", r"ranker\.onnx has the inputs .*, expected one called candidate_rows"),
    ],
)
def test_a_graph_that_takes_something_else_is_refused_at_load(
    tiny_bundle: Path, tmp_path: Path, bundle: Bundle, change: str, sentence: str
) -> None:
    """Names and dtypes are checked when the file is opened, not at the first request."""
    with pytest.raises(BundleError, match=sentence):
        OnnxRanker(spoiled(tiny_bundle, tmp_path, change), bundle.item_table, provider=CPU)


def test_a_file_that_is_no_graph_is_named(tiny_bundle: Path, tmp_path: Path, bundle: Bundle) -> None:
    """Garbage in place of a graph is a sentence with the file's name."""
    copy = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    (copy / "retriever.onnx").write_bytes(b"no graph")
    with pytest.raises(BundleError, match=r"retriever\.onnx cannot be loaded by ONNX Runtime"):
        OnnxRanker(copy, bundle.item_table, provider=CPU)


def test_the_padding_of_candidates_does_no_harm(bundle: Bundle) -> None:
    """Row 0 among the candidates has a finite score and leaves the others as they are."""
    batch = RankingBatch(history_of(2), np.array([[3, 4, 0, 0]]))
    alone = bundle.ranker.score(replace(batch, candidate_rows_BC=np.array([[3, 4]])))
    np.testing.assert_allclose(alone, bundle.ranker.score(batch)[:, :2], atol=1e-6)
