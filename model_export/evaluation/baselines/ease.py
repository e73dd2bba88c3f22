"""EASE: the best linear map from a history to the whole catalogue, in closed form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.linalg import lapack

from model_export.errors import CommandError
from model_export.evaluation.baselines.interactions import user_item_matrix, visible_matrix

if TYPE_CHECKING:
    from app.contract.tensors import Float32Array, Int64Array
    from model_export.data.dataset import Dataset
    from model_export.evaluation.questions import Questions

MOST_ITEMS: Final = 20_000
"""Beyond this the dense item-item matrix (1.6 GB here) no longer fits the machines that this is meant for."""

_ROWS_AT_ONCE: Final = 1024


class Ease:
    """Scores by a ridge regression of every item on all others (Steck 2019, arXiv 1905.03375)."""

    name = "EASE"

    def __init__(self, weights_NN: Float32Array) -> None:
        self._weights_NN = weights_NN

    @classmethod
    def fit(cls, data: Dataset, ends_U: Int64Array, *, ridge: float) -> Ease:
        """Invert the regularised item-item counts.

        Args:
            data: The events.
            ends_U: Where each user's known events end.
            ridge: Added to the diagonal; more for sparser data.

        Raises:
            CommandError: If there are more than `MOST_ITEMS` items.
        """
        if data.item_count > MOST_ITEMS:
            raise CommandError(
                f"EASE needs a dense matrix of {data.item_count} x {data.item_count} items, at most {MOST_ITEMS}"
            )
        user_item = user_item_matrix(data, ends_U)
        inverse_NN = _inverse((user_item.T @ user_item).toarray(order="F"), ridge)
        diagonal_N = inverse_NN.diagonal().copy()
        inverse_NN /= -diagonal_N
        np.fill_diagonal(inverse_NN, 0.0)
        return cls(inverse_NN)

    def scores(self, questions: Questions) -> Float32Array:
        """Multiply each visible history with the weights."""
        scores_BN: Float32Array = visible_matrix(questions) @ self._weights_NN
        return scores_BN


def _inverse(gram_NN: Float32Array, ridge: float) -> Float32Array:
    """Return the inverse of a symmetric matrix plus a ridge, computed in place by its Cholesky factor."""
    gram_NN[np.diag_indices_from(gram_NN)] += ridge
    factor_NN, failed = lapack.spotrf(gram_NN, lower=1, overwrite_a=1, clean=0)
    if not failed:
        factor_NN, failed = lapack.spotri(factor_NN, lower=1, overwrite_c=1)
    if failed:
        raise CommandError(f"the item-item matrix with ridge {ridge} is not positive definite, expected a larger ridge")
    for start in range(0, len(factor_NN), _ROWS_AT_ONCE):  # LAPACK fills one triangle; mirror it block by block
        stop = start + _ROWS_AT_ONCE
        factor_NN[start:stop, stop:] = factor_NN[stop:, start:stop].T
        block = np.tril(factor_NN[start:stop, start:stop])
        factor_NN[start:stop, start:stop] = block + np.tril(block, -1).T
    inverse_NN: Float32Array = factor_NN
    return inverse_NN
