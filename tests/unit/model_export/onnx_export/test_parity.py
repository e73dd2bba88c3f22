"""What is measured of an exported graph."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from model_export.data.splits import leave_one_out
from model_export.evaluation.questions import Questions
from model_export.onnx_export.parity import measure_scores
from tests.small_data import dataset_of


class Constant:
    """A model to which everything is alike; stands for module and graph."""

    ranker = SimpleNamespace(shape=SimpleNamespace(history_length=5))

    def score_catalog(self, history: Any) -> Any:
        """Return zeros for one item and padding."""
        return np.zeros((len(history.rows_BH), 2), np.float32)

    def score(self, *request: Any) -> Any:
        """Return zeros: the module is given history and rows, the graph both in one."""
        history = request[0] if len(request) > 1 else request[0].history
        return np.zeros((len(history.rows_BH), 101), np.float32)


def test_a_shop_of_one_item_has_a_rank_correlation() -> None:
    """Constant scores have none by definition, and a manifest takes numbers only: they agree."""
    data = dataset_of([[(1, 1), (1, 2), (1, 3)]], items=1)
    model: Any = Constant()
    found = measure_scores(model, model, Questions.of(data, leave_one_out(data).test))
    assert (found.kendall_tau, found.max_score_error, found.top10_agreement) == (1.0, 0.0, 1.0)
