"""One request's time, split over its stages."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from app.errors import BudgetExceeded

HISTORY_SHARE: Final = 0.4
"""No more of the budget than this is waited for Redis, so that the model still gets its part."""

ANSWER_SHARE: Final = 0.05
"""Kept back at the end for choosing and writing the list."""

LEAST_ANSWER_S: Final = 0.0005


@dataclass(frozen=True, slots=True)
class Budget:
    """When a request has to be done; all moments are `time.monotonic` seconds.

    Attributes:
        started_s: When the request arrived.
        total_s: What the caller is ready to wait.
    """

    started_s: float
    total_s: float

    @property
    def deadline_s(self) -> float:
        """When the answer has to leave."""
        return self.started_s + self.total_s

    @property
    def model_deadline_s(self) -> float:
        """When the scores have to be there."""
        return self.deadline_s - max(self.total_s * ANSWER_SHARE, LEAST_ANSWER_S)

    def left_s(self) -> float:
        """Return what is left until the scores have to be there; negative when it is passed."""
        return self.model_deadline_s - time.monotonic()

    def history_timeout_s(self, most_s: float) -> float:
        """Return how long to wait for the history: ``most_s``, or its share of what is left where that is less.

        Raises:
            BudgetExceeded: If nothing is left.
        """
        left_s = self.left_s()
        if left_s <= 0:
            raise BudgetExceeded(f"{self.total_s * 1000:.0f} ms passed before the history was asked for")
        return min(most_s, left_s * HISTORY_SHARE)
