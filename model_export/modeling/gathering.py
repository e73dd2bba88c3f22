"""Reading one position of each sequence of a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def take_position(sequence_BLE: Tensor, position_B: Tensor) -> Tensor:
    """Return float32[B, 1, E]: of each sequence the vector at its position.

    >>> import torch
    >>> take_position(torch.tensor([[[1.0], [2.0]], [[3.0], [4.0]]]), torch.tensor([1, 0])).tolist()
    [[[2.0]], [[3.0]]]

    Args:
        sequence_BLE: Any sequences.
        position_B: int64, 0..L-1.
    """
    index_B1E = position_B.reshape(-1, 1, 1).expand(-1, 1, sequence_BLE.shape[2])
    return sequence_BLE.gather(1, index_B1E)
