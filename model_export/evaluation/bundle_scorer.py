"""A bundle as a scorer: the ONNX graphs through the class that serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from app.contract.tensors import HistoryBatch, RankingBatch
from app.selection.top_k import top_k_positions
from model_export.data import columns
from model_export.errors import CommandError
from model_export.evaluation.best_first import rescored

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.contract.tensors import Float32Array, Int64Array
    from app.inference.bundle import Bundle
    from app.inference.onnx_ranker import OnnxRanker
    from model_export.data.dataset import Dataset
    from model_export.evaluation.questions import Questions

RESCORED: Final = 500
"""How many of the best by dot product the service scores again with the full ranker, by default."""


def require_same_shop(bundle: Bundle, data: Dataset) -> None:
    """Refuse data whose rows and action ids do not mean in the bundle what they mean in the data.

    Raises:
        CommandError: If items or actions differ, or their order.
    """
    item_ids = bundle.read_items().column(columns.ITEM_ID).to_pylist()
    if item_ids != data.item_ids():
        raise CommandError(
            f"the {len(item_ids)} items of {bundle.path} are not the {data.item_count} of the data, "
            "expected the data that the bundle was made of"
        )
    if tuple(bundle.manifest.actions) != data.actions:
        raise CommandError(
            f"the actions of {bundle.path} are {bundle.manifest.actions}, those of the data {data.actions}, "
            "expected the data that the bundle was made of"
        )


class BundleScorer:
    """Ranks the whole catalogue as the service does: by dot product, then the best `RESCORED` by the full score."""

    def __init__(
        self,
        ranker: OnnxRanker,
        *,
        history_length: int,
        name: str = "seqrank",
        objective_weights_O: Float32Array | None = None,
    ) -> None:
        """Take the parts.

        Args:
            ranker: Of an open bundle.
            history_length: The manifest's.
            name: In tables and JSON.
            objective_weights_O: ``float32[O]``; None for the bundle's default.
        """
        self.name = name
        self._ranker = ranker
        self._history_length = history_length
        self._objective_weights_O = objective_weights_O

    def scores(self, questions: Questions) -> Float32Array:
        """Return the scores of every row; those beyond the best `RESCORED` unseen keep their order, below them."""
        history = questions.histories(self._history_length)
        retrieved_BN = self._ranker.score_catalog(history)
        eligible_BN = _eligible(retrieved_BN, *questions.seen_other_rows())
        return rescored(retrieved_BN, eligible_BN, RESCORED, lambda rows_BC: self._full_scores(history, rows_BC))

    def candidates(
        self, questions: Questions, left_out: tuple[Int64Array, Int64Array], *, count: int
    ) -> Iterator[tuple[Int64Array, Float32Array]]:
        """Yield for each question the rows and scores that the service makes its list from, in the service's order.

        Args:
            questions: What is asked.
            left_out: Positions of questions, and the rows that are no candidates there.
            count: How many of the best by dot product are scored in full.
        """
        history = questions.histories(self._history_length)
        eligible_BN = _eligible(self._ranker.score_catalog(history), *left_out)
        for place, eligible_N in enumerate(eligible_BN):
            best = top_k_positions(eligible_N, min(count, int(np.isfinite(eligible_N).sum())))
            one = slice(place, place + 1)
            alone = HistoryBatch(history.rows_BH[one], history.actions_BH[one], history.age_s_BH[one])
            yield best, self._full_scores(alone, best[None])[0]

    def _full_scores(self, history: HistoryBatch, rows_BC: Int64Array) -> Float32Array:
        weights_BO = None if self._objective_weights_O is None else self._objective_weights_O[None, :]
        return self._ranker.score(RankingBatch(history, rows_BC, weights_BO))


def _eligible(retrieved_BN: Float32Array, asked: Int64Array, left_out: Int64Array) -> Float32Array:
    """Return the scores with padding and left-out rows at -inf."""
    eligible_BN = retrieved_BN.copy()
    eligible_BN[:, 0] = -np.inf
    eligible_BN[asked, left_out] = -np.inf
    return eligible_BN
