"""Which items a prediction already knows."""

from __future__ import annotations

import torch

from model_export.training.seen_pairs import seen_pairs


def test_a_prediction_knows_the_events_before_it():
    """Position l comes after l events; padding is no item; positions that predict nothing are not numbered."""
    rows = torch.tensor([[5, 6, 0], [7, 8, 9]])
    predicts = torch.tensor([[True, True, True, False], [False, True, False, True]])
    positions, known = seen_pairs(rows, predicts)
    pairs = list(zip(positions.tolist(), known.tolist(), strict=True))
    assert pairs == [(1, 5), (2, 5), (2, 6), (3, 7), (4, 7), (4, 8), (4, 9)]
