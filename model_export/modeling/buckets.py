"""Logarithmic buckets of distances and of seconds, by arithmetic that every runtime rounds alike."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

TIME_BUCKETS: Final = 64
"""Buckets of seconds, two for each doubling: the last begins after 96 years."""

POSITION_BUCKETS: Final = 32
"""Buckets of distances in events: exact up to 8, then four for each doubling, the last from 431."""

_EXACT_DISTANCES: Final = 8
_NUDGE: Final = 1e-3
"""Lifts whole powers of two over the edge that rounding of the logarithm would put them on."""


def time_bucket(seconds: Tensor) -> Tensor:
    """Return int64 of the same shape, ``floor(2 log2(1 + seconds))``, at most ``TIME_BUCKETS - 1``.

    >>> time_bucket(torch.tensor([0.0, 1.0, 3.0, 86400.0])).tolist()
    [0, 2, 4, 32]

    Args:
        seconds: float32, at least 0.
    """
    doublings = torch.log2(1.0 + seconds.clamp(min=0.0))
    return (2.0 * doublings + _NUDGE).to(torch.int64).clamp(max=TIME_BUCKETS - 1)


def position_bucket(distance: Tensor) -> Tensor:
    """Return int64 of the same shape: which bucket a distance in events falls into.

    >>> position_bucket(torch.tensor([0, 1, 8, 9, 16, 1000])).tolist()
    [0, 1, 8, 8, 12, 31]

    Args:
        distance: int64, at least 0.
    """
    beyond = distance.clamp(min=_EXACT_DISTANCES).to(torch.float32) / _EXACT_DISTANCES
    logarithmic = _EXACT_DISTANCES + (4.0 * torch.log2(beyond) + _NUDGE).to(torch.int64)
    return torch.where(distance < _EXACT_DISTANCES, distance, logarithmic).clamp(max=POSITION_BUCKETS - 1)
