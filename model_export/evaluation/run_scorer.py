"""A trained run as a scorer: the torch model, before any export."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from app.contract.tensors import Float32Array
    from model_export.evaluation.questions import Questions
    from model_export.modeling.ranker import SequenceRanker


class RunScorer:
    """Scores the whole catalogue with `SequenceRanker.score_catalog`, the forward that becomes ``retriever.onnx``."""

    def __init__(self, model: SequenceRanker, *, name: str = "seqrank") -> None:
        self.name = name
        self._model = model.eval()
        self._device = next(model.parameters()).device
        with torch.inference_mode():
            self._table_ND = model.item_table()

    @property
    def item_vectors(self) -> Float32Array:
        """``float32[N + 1, D]``, the item table."""
        vectors_ND: Float32Array = self._table_ND.float().cpu().numpy()
        return vectors_ND

    def scores(self, questions: Questions) -> Float32Array:
        """Return the scores of every row for each visible history."""
        history = questions.histories(self._model.shape.history_length)
        with torch.inference_mode():
            scores_BN = self._model.score_catalog(
                self._table_ND,
                torch.from_numpy(history.rows_BH).to(self._device),
                torch.from_numpy(history.actions_BH).to(self._device),
                torch.from_numpy(history.age_s_BH).to(self._device),
            )
        as_numpy: Float32Array = scores_BN.float().cpu().numpy()
        return as_numpy
