"""The ladder: what stands in for scores that cannot be had in time."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

import numpy as np

from app.selection.top_k import top_k_positions

if TYPE_CHECKING:
    from app.contract.tensors import Float32Array, Int64Array

LEAST_PARTIAL: Final = 8
"""Scoring fewer candidates than this says less than the popularity prior of all of them."""


class Reason(StrEnum):
    """Why an answer is degraded; each names the rung that it stands on."""

    HISTORY_UNAVAILABLE = "history_unavailable"
    """The store did not answer in time: the model ranked without history."""

    CATALOG_BEHIND = "catalog_behind"
    """Items were added elsewhere that this replica could not fetch in time."""

    TEXTS_UNAVAILABLE = "texts_unavailable"
    """Candidates' texts could not be encoded in time: those rank last."""

    PARTIAL_SCORES = "partial_scores"
    """The model scored the candidates with the best prior; the others follow in input order."""

    MODEL_TIMEOUT = "model_timeout"
    """The scores would have come too late: ranked by popularity prior."""

    MODEL_FAILED = "model_failed"
    """The model raised: ranked by popularity prior."""

    NO_PRIOR = "no_prior"
    """No candidate has a popularity prior: the list is in input order."""


def best_by_prior(prior_C: Float32Array, count: int) -> Int64Array:
    """Return the positions of the ``count`` most popular candidates, in input order.

    >>> best_by_prior(np.array([1.0, 5.0, 3.0], np.float32), 2)
    array([1, 2])
    """
    return np.sort(top_k_positions(prior_C, count))


def prior_as_scores(prior_C: Float32Array) -> tuple[Float32Array, bool]:
    """Return finite scores that order candidates by prior, then by input order, and whether any had a prior.

    A candidate without a prior (``-inf``) gets just less than the least of the others, so that it follows them.

    >>> prior_as_scores(np.array([-np.inf, -2.0, 3.0], np.float32))
    (array([-3., -2.,  3.], dtype=float32), True)
    """
    known_C = np.isfinite(prior_C)
    if not known_C.any():
        return np.zeros(len(prior_C), np.float32), False
    return np.where(known_C, prior_C, prior_C[known_C].min() - np.float32(1.0)), True
