"""Which requests may share a run, and where each one's numbers lie in it."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from app.contract.encoding import EncodedHistory, pack_histories
from app.contract.tensors import PADDING_ROW, Float32Array, Int64Array, RankingBatch
from app.errors import ScoringFailed

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Question:
    """What one caller wants scored.

    Attributes:
        history: The user's history.
        candidate_rows_C: ``int64[C]`` item rows, at least one.
        objective_weights_O: Or None for the bundle's default.
    """

    history: EncodedHistory
    candidate_rows_C: Int64Array
    objective_weights_O: Float32Array | None = None


@dataclass(frozen=True, slots=True)
class BatchLayout:
    """Shapes of runs.

    Only requests of one shape share a run. That shape depends on the request alone and is the shape that the run has,
    so that a request meets the same arithmetic whatever shares its batch. Where padding and neighbours changed no bit
    of any score at warm-up, lengths need not match: a run is as wide as its longest request, and a request alone is
    not padded at all. What is left is the number of requests in a run: only those numbers are used that gave
    bit-equal scores at warm-up.

    Attributes:
        candidate_buckets: Widths that candidates are padded to, ascending; empty means no padding.
        history_buckets: The same for histories.
        batch_buckets: Numbers of requests that a run is padded to, ascending.
        pads_to_longest: Whether requests of any length may share a run, which is then as wide as the longest of them;
            without buckets of candidates and histories.
    """

    candidate_buckets: tuple[int, ...] = ()
    history_buckets: tuple[int, ...] = ()
    batch_buckets: tuple[int, ...] = (1,)
    pads_to_longest: bool = False

    def shape_of(self, question: Question) -> tuple[int, int, bool]:
        """Return what a request must share with its batch: history and candidate width, and whether it has weights."""
        if self.pads_to_longest:
            return 0, 0, question.objective_weights_O is not None
        return (
            _bucket(len(question.history) or 1, self.history_buckets),
            _bucket(len(question.candidate_rows_C), self.candidate_buckets),
            question.objective_weights_O is not None,
        )

    def size_of(self, question: Question) -> tuple[int, int]:
        """Return how many events and candidates a run of this request alone has, padding included."""
        return (
            _bucket(len(question.history) or 1, self.history_buckets),
            _bucket(len(question.candidate_rows_C), self.candidate_buckets),
        )

    def pack(self, questions: Sequence[Question]) -> RankingBatch:
        """Lay requests of one shape out as one run."""
        size, history_width, candidate_width = self._run_shape(questions)
        histories = [question.history for question in questions]
        histories += [histories[-1]] * (size - len(questions))
        history = pack_histories(histories, padded_length=history_width)
        weights_BO = None
        if questions[0].objective_weights_O is not None:
            weights = [question.objective_weights_O for question in questions]
            weights += [weights[-1]] * (size - len(questions))
            weights_BO = np.stack([entry for entry in weights if entry is not None])
        first_C = questions[0].candidate_rows_C
        if size == 1 and candidate_width == len(first_C):
            return RankingBatch(history, first_C[None], weights_BO)
        rows_BC = np.full((size, candidate_width), PADDING_ROW, np.int64)
        for place, question in enumerate(questions):
            rows_BC[place, : len(question.candidate_rows_C)] = question.candidate_rows_C
        return RankingBatch(history, rows_BC, weights_BO)

    def unpack(self, scores_BC: Float32Array, questions: Sequence[Question]) -> list[Float32Array]:
        """Return each request's scores, in the order of the requests.

        Raises:
            ScoringFailed: If the run answered with another shape than it was asked for.
        """
        size, _, candidate_width = self._run_shape(questions)
        expected = (size, candidate_width)
        if scores_BC.shape != expected:
            raise ScoringFailed(f"the model answered with scores of shape {scores_BC.shape}, expected {expected}")
        return [
            scores_C[: len(question.candidate_rows_C)]
            for scores_C, question in zip(scores_BC[: len(questions)], questions, strict=True)
        ]

    def _run_shape(self, questions: Sequence[Question]) -> tuple[int, int, int]:
        """Return requests, events and candidates of a run, padding included."""
        size = _bucket(len(questions), self.batch_buckets)
        if not self.pads_to_longest:
            history_width, candidate_width, _ = self.shape_of(questions[0])
            return size, history_width, candidate_width
        longest = max([len(question.history) for question in questions])
        return size, longest or 1, max([len(question.candidate_rows_C) for question in questions])


def _bucket(count: int, buckets: tuple[int, ...]) -> int:
    """Return the smallest bucket that holds ``count``, or ``count`` if none does.

    >>> _bucket(100, (16, 64, 256)), _bucket(300, (16, 64, 256)), _bucket(7, ())
    (256, 300, 7)
    """
    if not buckets:
        return count
    place = bisect_left(buckets, count)
    return buckets[place] if place < len(buckets) else count
