"""Refuses requests that the event loop itself could not get to in time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from app.errors import Overloaded

if TYPE_CHECKING:
    from collections.abc import Callable

SAMPLE: Final = 32
"""Answers between two looks at the processor time."""

BUSY_WITHIN_S: Final = 1.0
"""Samples that took longer say more about idling than about answering."""

LEARNING_RATE: Final = 0.2
BUDGET_SHARE: Final = 0.4
"""No more of the default budget than this may pass on the event loop: the store and the model need the rest."""


LEAST_AT_ONCE: Final = 16
"""So many are never refused: while the store is ill or the machine is noisy an answer's cost is overestimated, and a
handful of requests is no overload."""

CROWD: Final = 8
"""While so many are under way, somebody can always go on: the time between two answers is no waiting for the store."""


class Admission:
    """Knows what an answer costs the event loop, and how many are under way.

    The line in front of the model cannot see requests that wait for the event loop: when parsing and writing are the
    bottleneck they would wait for seconds, with their budgets running only from the moment they are begun. Processor
    time is counted and not time that passes, so that a stalled store does not look like an overload; but while so many
    are under way that there is always one to go on with, what passes between two answers is what an answer really
    takes: also waiting for the interpreter's lock, for the model, and for the machine's other programs.
    """

    def __init__(
        self,
        most_wait_s: float,
        *,
        thread_time: Callable[[], float] = time.thread_time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Allow as many requests at once as are expected to be done within ``most_wait_s``."""
        self._most_wait_s = most_wait_s
        self._thread_time = thread_time
        self._clock = clock
        self._answers = 0
        self._fewest = CROWD
        self._sampled_at = (clock(), thread_time())
        self.cost_s = 0.0
        """Seconds an answer: processor time of the event loop, or, in a crowd, time that passes; 0 at first."""

    def check(self, in_flight: int) -> None:
        """Let one more request begin.

        Raises:
            Overloaded: If those under way keep the event loop busy for too long.
        """
        refusal = self.refusal(in_flight)
        if refusal is not None:
            raise refusal

    def refusal(self, in_flight: int) -> Overloaded | None:
        """Return why one more request may not begin, or None if it may."""
        wait_s = in_flight * self.cost_s
        if wait_s <= self._most_wait_s or in_flight < LEAST_AT_ONCE:
            return None
        return Overloaded(f"{in_flight} requests are being answered already", retry_after_s=wait_s)

    def answered(self, in_flight: int) -> None:
        """Count one answer; ``in_flight`` others are under way."""
        self._answers += 1
        self._fewest = min(self._fewest, in_flight)
        if self._answers < SAMPLE:
            return
        now_s, spent_s = self._clock(), self._thread_time()
        since_s, spent_before_s = self._sampled_at
        if now_s - since_s < BUSY_WITHIN_S:
            is_crowded = self._fewest >= CROWD
            cost_s = ((now_s - since_s) if is_crowded else (spent_s - spent_before_s)) / self._answers
            self.cost_s += (LEARNING_RATE if self.cost_s else 1.0) * (cost_s - self.cost_s)
        self._answers = 0
        self._fewest = CROWD
        self._sampled_at = (now_s, spent_s)
