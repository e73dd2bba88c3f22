"""Matrix factorisation for implicit feedback by alternating least squares, with new users folded in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from model_export.evaluation.baselines.interactions import user_item_matrix, visible_matrix

if TYPE_CHECKING:
    from scipy import sparse

    from app.contract.tensors import Float32Array, Int64Array
    from model_export.data.dataset import Dataset
    from model_export.evaluation.questions import Questions

_CELLS_AT_ONCE: Final = 1 << 23


@dataclass(frozen=True, slots=True)
class Weights:
    """The strength of the terms of the loss.

    Attributes:
        unobserved: Weight of predicting 0 for every pair, against 1 for every observed pair.
        ridge: Strength of the penalty on vectors; a vector with more events is penalised more.
    """

    unobserved: float
    ridge: float


class MatrixFactorisation:
    """Scores by the product of item vectors with a user vector solved from the visible history.

    The loss is that of Hu, Koren and Volinsky (2008) with the frequency-scaled penalty of Rendle et al. (2021,
    arXiv 2110.14037), which makes it a strong baseline.
    """

    name = "matrix factorisation"

    def __init__(self, item_vectors_ND: Float32Array, weights: Weights) -> None:
        self._item_vectors_ND = item_vectors_ND
        self._weights = weights

    @classmethod
    def fit(
        cls,
        data: Dataset,
        ends_U: Int64Array,
        *,
        width: int = 64,
        unobserved: float = 0.1,
        ridge: float = 0.01,
        sweeps: int = 8,
        seed: int = 7,
    ) -> MatrixFactorisation:
        """Alternate between solving all user vectors and all item vectors.

        Args:
            data: The events.
            ends_U: Where each user's known events end.
            width: D of the vectors.
            unobserved: See `Weights`.
            ridge: See `Weights`.
            sweeps: How many times both sides are solved.
            seed: Of the initial vectors.
        """
        weights = Weights(unobserved, ridge)
        user_item = user_item_matrix(data, ends_U)
        item_user = user_item.T.tocsr()
        random = np.random.default_rng(seed)
        items_ND = random.normal(0, 0.1 / np.sqrt(width), (data.item_count + 1, width)).astype(np.float32)
        for _ in range(sweeps):
            users_UD = solve_vectors(user_item, items_ND, weights)
            items_ND = solve_vectors(item_user, users_UD, weights)
        return cls(items_ND, weights)

    def scores(self, questions: Questions) -> Float32Array:
        """Solve a vector for each visible history and multiply it with all items."""
        users_BD = solve_vectors(visible_matrix(questions), self._item_vectors_ND, self._weights)
        return users_BD @ self._item_vectors_ND.T


def solve_vectors(observed: sparse.csr_array, others_MD: Float32Array, weights: Weights) -> Float32Array:
    """Return ``float32[R, D]``, the least-squares vector of each row of ``observed[R, M]`` given the other side's."""
    row_count, width = observed.shape[0], others_MD.shape[1]
    counts_R = np.diff(observed.indptr)
    gram_DD = weights.unobserved * (others_MD.T @ others_MD)
    penalty_R = weights.ridge * (counts_R + weights.unobserved * observed.shape[1])
    solved_RD = np.zeros((row_count, width), np.float32)
    order = np.argsort(counts_R, kind="stable")
    start = int((counts_R == 0).sum())  # a row without events stays zero
    while start < row_count:
        stop = start + 1
        while stop < row_count and (stop + 1 - start) * (counts_R[order[stop]] + width) * width <= _CELLS_AT_ONCE:
            stop += 1
        rows = order[start:stop]
        left_RDD, right_RD = _normal_equations(observed, rows, others_MD)
        left_RDD += gram_DD + penalty_R[rows, None, None] * np.eye(width, dtype=np.float32)
        solved_RD[rows] = np.linalg.solve(left_RDD, right_RD[:, :, None])[:, :, 0]
        start = stop
    return solved_RD


def _normal_equations(
    observed: sparse.csr_array, rows: Int64Array, others_MD: Float32Array
) -> tuple[Float32Array, Float32Array]:
    """Return the sums of outer products ``[R, D, D]`` and of vectors ``[R, D]`` over each row's observed columns."""
    starts, counts = observed.indptr[rows], np.diff(observed.indptr)[rows]
    steps = np.arange(int(counts.max()))
    present_RL = steps[None, :] < counts[:, None]
    positions_RL = np.where(present_RL, starts[:, None] + steps[None, :], 0)
    vectors_RLD = others_MD[observed.indices[positions_RL]] * present_RL[:, :, None].astype(np.float32)
    return vectors_RLD.transpose(0, 2, 1) @ vectors_RLD, vectors_RLD.sum(axis=1)
