"""A trained run as a scorer: the torch model, before any export."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

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
        with torch.inference_mode():
            return _as_numpy(self._model.score_catalog(self._table_ND, *self._histories(questions)))

    def short_term_share(self, questions: Questions) -> Float32Array:
        """Return ``float32[T]``, how much of each user's state is short-term, 0..1."""
        with torch.inference_mode():
            return _as_numpy(self._model.short_term_share(self._table_ND, *self._histories(questions)))

    def _histories(self, questions: Questions) -> tuple[Tensor, Tensor, Tensor]:
        history = questions.histories(self._model.shape.history_length)
        arrays = (history.rows_BH, history.actions_BH, history.age_s_BH)
        rows_BH, actions_BH, age_s_BH = (torch.from_numpy(array).to(self._device) for array in arrays)
        return rows_BH, actions_BH, age_s_BH


def _as_numpy(tensor: Tensor) -> Float32Array:
    array: Float32Array = tensor.float().cpu().numpy()
    return array
