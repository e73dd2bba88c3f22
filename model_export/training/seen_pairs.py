"""Which items of the history each prediction of a batch already knows."""

from __future__ import annotations

import torch
from torch import Tensor


def seen_pairs(rows_BH: Tensor, predicts_BL: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``(positions, rows)``, int64[S] each: prediction p of the batch comes after an event with that row.

    Predictions are numbered as ``predicts_BL.nonzero()`` lists them; positions ascend.

    >>> seen_pairs(torch.tensor([[7, 8]]), torch.tensor([[True, False, True]]))
    (tensor([1, 1]), tensor([7, 8]))

    Args:
        rows_BH: int64 item rows of the events, 0 in the padding.
        predicts_BL: bool, L = H + 1: position l comes after event l - 1.
    """
    length, events = predicts_BL.shape[1], rows_BH.shape[1]
    number_BL = (predicts_BL.flatten().cumsum(0) - 1).view(predicts_BL.shape)
    steps = torch.arange(length, device=rows_BH.device).unsqueeze(1)
    earlier_LH = torch.arange(events, device=rows_BH.device) < steps
    known_BLH = earlier_LH & (rows_BH > 0).unsqueeze(1) & predicts_BL.unsqueeze(2)
    sequence, position, event = known_BLH.nonzero(as_tuple=True)
    return number_BL[sequence, position], rows_BH[sequence, event]
