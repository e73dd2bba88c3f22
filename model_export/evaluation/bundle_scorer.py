"""A bundle as a scorer: the ONNX graphs through the class that serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from app.contract.tensors import RankingBatch
from model_export.evaluation.best_first import rescored

if TYPE_CHECKING:
    from app.contract.tensors import Float32Array, HistoryBatch, Int64Array
    from app.inference.onnx_ranker import OnnxRanker
    from model_export.evaluation.questions import Questions

RESCORED: int = 500
"""How many of the best by dot product the service scores again with the full ranker."""


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
        self.name = name
        self._ranker = ranker
        self._history_length = history_length
        self._objective_weights_O = objective_weights_O

    def scores(self, questions: Questions) -> Float32Array:
        """Return the scores of every row; those beyond the best `RESCORED` unseen keep their order, below them."""
        history = questions.histories(self._history_length)
        retrieved_BN = self._ranker.score_catalog(history)
        asked, seen = questions.seen_rows()
        eligible_BN = retrieved_BN.copy()
        eligible_BN[:, 0] = -np.inf
        eligible_BN[asked, seen] = -np.inf
        return rescored(retrieved_BN, eligible_BN, RESCORED, lambda rows_BC: self._full_scores(history, rows_BC))

    def _full_scores(self, history: HistoryBatch, rows_BC: Int64Array) -> Float32Array:
        weights_BO = None if self._objective_weights_O is None else self._objective_weights_O[None, :]
        return self._ranker.score(RankingBatch(history, rows_BC, weights_BO))
