"""The best that anybody could do on a simulated shop: its true next-item probabilities as a scorer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from model_export.data.simulation.truth import oracle_scores
from model_export.errors import CommandError

if TYPE_CHECKING:
    from app.contract.tensors import Float32Array, Int64Array
    from model_export.data.simulation.truth import Truth
    from model_export.evaluation.questions import Questions


class Oracle:
    """Scores by the logarithm of the true probability; it answers the test questions of the simulated shop alone."""

    name = "oracle"

    def __init__(self, truth: Truth, test_events: Int64Array) -> None:
        """Take the truth and the events that it speaks of.

        Args:
            truth: What the simulation wrote.
            test_events: ``int64[T]``, the events of the leave-one-out test targets, ascending, one a row of the truth.
        """
        if len(truth) != len(test_events):
            raise CommandError(f"the truth speaks of {len(truth)} test events, the split has {len(test_events)}")
        self._truth = truth
        self._test_events = test_events

    def scores(self, questions: Questions) -> Float32Array:
        """Return the true log-probabilities.

        Raises:
            CommandError: If a question is not one of the test set.
        """
        positions = np.searchsorted(self._test_events, questions.targets.events)
        known = self._test_events[np.minimum(positions, len(self._test_events) - 1)] == questions.targets.events
        if not known.all():
            raise CommandError("the oracle answers the questions of the leave-one-out test set alone")
        return oracle_scores(self._truth, positions)
