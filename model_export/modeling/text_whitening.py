"""PCA whitening of text vectors: a fixed affine map fitted once on the training catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from app.contract.tensors import Float32Array

_RANK_CUTOFF: Final = 1e-7
"""Directions with less than this share of the largest variance hold rounding noise and are dropped."""

_SHRINKAGE: Final = 1e-3
"""Share of the mean variance added to every variance, so that faint directions are not blown up."""


@dataclass(frozen=True, slots=True)
class Whitening:
    """``whitened = pooled @ projection + offset``.

    Attributes:
        projection: ``float32[hidden, W]``.
        offset: ``float32[W]``.
    """

    projection: Float32Array
    offset: Float32Array

    @property
    def width(self) -> int:
        """W."""
        return len(self.offset)

    def apply(self, pooled_NX: Float32Array) -> Float32Array:
        """Return ``float32[N, W]`` whitened vectors of ``float32[N, hidden]`` pooled ones."""
        return np.asarray(pooled_NX @ self.projection + self.offset, np.float32)


def fit_whitening(pooled_NX: Float32Array, *, width: int) -> Whitening:
    """Fit the whitening of pooled vectors to their ``width`` directions of largest variance.

    On the vectors that it was fitted on, every coordinate has mean 0 and variance just under 1. Coordinates beyond the
    rank of the data (fewer items than ``width``, or a narrower encoder) are 0 for every text. The sign of each
    direction is fixed, so that the same data gives the same map on every machine.

    The idea: Su et al. 2021, "Whitening Sentence Representations", and WhitenRec (Zhang et al. 2024).

    Args:
        pooled_NX: ``float32[N, hidden]`` mean-pooled vectors of the training catalogue.
        width: W.

    Raises:
        ValueError: If there is no vector, or one is not finite.
    """
    if len(pooled_NX) == 0 or not np.isfinite(pooled_NX).all():
        raise ValueError(f"whitening takes finite vectors, got {len(pooled_NX)} with NaN or none at all")
    vectors = pooled_NX.astype(np.float64)
    mean_X = vectors.mean(axis=0)
    variances, directions = np.linalg.eigh(np.cov(vectors, rowvar=False, bias=True).reshape(len(mean_X), -1))
    order = np.argsort(-variances)[:width]
    variances, directions = variances[order], directions[:, order]
    largest = np.abs(directions).argmax(axis=0)
    directions *= np.sign(directions[largest, np.arange(len(order))])
    kept = (variances > 0.0) & (variances > variances[0] * _RANK_CUTOFF)
    floor = _SHRINKAGE * variances[kept].sum() / max(int(kept.sum()), 1)
    scale = np.where(kept, 1.0 / np.sqrt(np.where(kept, variances, 1.0) + floor), 0.0)
    projection = np.zeros((len(mean_X), width), np.float64)
    projection[:, : len(order)] = directions * scale
    return Whitening(projection.astype(np.float32), (-mean_X @ projection).astype(np.float32))
