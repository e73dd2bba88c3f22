"""Greedy choice of a list that is relevant and not ten times the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias

import numpy as np

from app.selection.caps import OpenPlaces

if TYPE_CHECKING:
    from app.contract.tensors import Float32Array, FloatArray, Int64Array

Method: TypeAlias = Literal["dpp", "mmr"]

LOG_RESIDUAL_WEIGHT: Final = 0.4
"""One unit of log-residual against the whole range of relevance: a setting of 0.3 then costs next to nothing."""

_LEAST_RESIDUAL: Final = 1e-5
"""What is left of a candidate that the list already spans, above the rounding of float32 cosines."""


def diverse_positions(
    scores_M: FloatArray,
    vectors_MD: Float32Array,
    k: int,
    *,
    diversity: float,
    method: Method = "dpp",
    places: OpenPlaces | None = None,
) -> Int64Array:
    """Choose ``k`` of M candidates one by one, each for ``(1 - diversity) * relevance + diversity * novelty``.

    Relevance is the score scaled to 0..1 over the candidates, so that a setting means the same for every model.
    Novelty, ``dpp``: the logarithm of what remains of the candidate's vector outside the span of those chosen, times
    `LOG_RESIDUAL_WEIGHT`: greedy maximisation of a determinantal point process in O(M k²) (Chen et al. 2018, arXiv
    1709.05135). ``mmr``: the negative of the highest cosine with one chosen (Carbonell and Goldstein 1998).

    Diversity decides which candidates are chosen; those are listed by score. That costs a fraction of the relevance
    that listing them as they were chosen costs (measured in docs/results/diversity.md). Ties keep the candidates'
    order; ``diversity`` 0 is the order of the scores.

    Args:
        scores_M: ``float[M]``, finite.
        vectors_MD: ``float32[M, D]`` item vectors of any length; a zero vector is similar to nothing.
        k: How many to choose; more than there are means all of them.
        diversity: 0..1.
        method: ``dpp`` or ``mmr``.
        places: Which candidates may be taken; all of them by default. The chosen ones are taken from it.

    Returns:
        ``int64[k or fewer]``, best score first: fewer if no more places are open.

    Raises:
        ValueError: If a score or vector is not finite, or ``diversity`` is outside 0..1.
    """
    _check(scores_M, vectors_MD, diversity)
    open_places = places if places is not None else OpenPlaces({}, {}, count=len(scores_M))
    novelty: _Novelty = _SpanNovelty(vectors_MD, k) if method == "dpp" else _NearestNovelty(vectors_MD)
    relevance_M = (1.0 - diversity) * _scaled_to_one(scores_M)
    chosen = np.sort(_greedy(relevance_M, novelty, diversity, k, open_places))
    return chosen[np.argsort(-scores_M[chosen], kind="stable")]


def _greedy(relevance_M: FloatArray, novelty: _Novelty, weight: float, k: int, places: OpenPlaces) -> Int64Array:
    """Return positions in the order of choice, each the best sum of relevance and weighted novelty then."""
    open_M = places.open_M[: len(relevance_M)]
    relevance_M[~open_M] = -np.inf
    chosen: list[int] = []
    for _ in range(min(k, len(relevance_M))):
        best = int((relevance_M + weight * novelty.novelty_M).argmax())
        if not open_M[best]:
            break
        chosen.append(best)
        places.take(best)
        relevance_M[~open_M] = -np.inf
        novelty.choose(best)
    return np.asarray(chosen, np.int64)


class _Novelty(Protocol):
    """How much each candidate would add to those chosen so far.

    Attributes:
        novelty_M: ``float64[M]``, higher is more novel.
    """

    novelty_M: FloatArray

    def choose(self, position: int) -> None:
        """Take one candidate into the list."""


class _SpanNovelty:
    """Log of each candidate's residual in an incremental Cholesky factor of the kernel ``(1 + cosine) / 2``.

    The shift makes opposite vectors, not only orthogonal ones, dissimilar, and keeps the kernel positive semidefinite.
    """

    def __init__(self, vectors_MD: Float32Array, k: int) -> None:
        self.novelty_M: FloatArray = np.zeros(len(vectors_MD))
        self._kernel_MM = (1.0 + _cosines(vectors_MD)) / 2.0
        self._residual_M = np.ones(len(vectors_MD))
        self._factor_KM = np.zeros((min(k, len(vectors_MD)), len(vectors_MD)))
        self._chosen = 0

    def choose(self, position: int) -> None:
        """Project the candidate's direction out of all others."""
        residual = self._residual_M[position]
        if residual <= _LEAST_RESIDUAL:
            return  # the list spans it already: what is left of it is rounding, and dividing by that would blow up
        known_KM = self._factor_KM[: self._chosen]
        direction_M = (self._kernel_MM[position] - known_KM[:, position] @ known_KM) / np.sqrt(residual)
        self._factor_KM[self._chosen] = direction_M
        self._chosen += 1
        self._residual_M -= direction_M * direction_M
        self.novelty_M = LOG_RESIDUAL_WEIGHT * np.log(np.maximum(self._residual_M, _LEAST_RESIDUAL))


class _NearestNovelty:
    """The negative of each candidate's highest cosine with one chosen."""

    def __init__(self, vectors_MD: Float32Array) -> None:
        self.novelty_M: FloatArray = np.zeros(len(vectors_MD))
        self._cosine_MM = _cosines(vectors_MD)
        self._first = True

    def choose(self, position: int) -> None:
        """Let the candidate's neighbours lose."""
        nearer_M = -self._cosine_MM[position]
        self.novelty_M = nearer_M if self._first else np.minimum(self.novelty_M, nearer_M)
        self._first = False


def _cosines(vectors_MD: Float32Array) -> FloatArray:
    """Return ``float64[M, M]`` cosines with ones on the diagonal; 0 for zero vectors."""
    length_M1 = np.linalg.norm(vectors_MD, axis=1, keepdims=True)
    unit_MD = vectors_MD / np.where(length_M1 > 0, length_M1, 1)
    cosine_MM: FloatArray = (unit_MD @ unit_MD.T).astype(np.float64)
    np.fill_diagonal(cosine_MM, 1.0)
    return cosine_MM


def _scaled_to_one(scores_M: FloatArray) -> FloatArray:
    """Return the scores moved and scaled to 0..1; zeros where all are equal."""
    lowest, highest = float(scores_M.min(initial=np.inf)), float(scores_M.max(initial=-np.inf))
    if not highest > lowest:
        return np.zeros(len(scores_M))
    scaled_M: FloatArray = (scores_M.astype(np.float64) - lowest) / (highest - lowest)
    return scaled_M


def _check(scores_M: FloatArray, vectors_MD: Float32Array, diversity: float) -> None:
    if not 0.0 <= diversity <= 1.0:
        raise ValueError(f"diversity is {diversity}, expected 0..1")
    if len(vectors_MD) != len(scores_M):
        raise ValueError(f"{len(vectors_MD)} vectors for {len(scores_M)} candidates, expected one each")
    if not (np.isfinite(scores_M).all() and np.isfinite(vectors_MD).all()):
        raise ValueError("a score or an item vector is not finite, expected numbers to diversify")
