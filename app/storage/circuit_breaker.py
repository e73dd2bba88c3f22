"""A circuit breaker: after repeated failures nobody waits for Redis until a probe has found it well."""

from __future__ import annotations

import logging
import random
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from app.errors import StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable


SAID_AGAIN_AFTER_S: Final = 10.0
"""A store that comes and goes is logged no more often than this."""

logger = logging.getLogger(__name__)


class CircuitState(StrEnum):
    """Whether calls pass."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitBreaker:
    """Counts failures in a row and refuses calls while the store is ill.

    Promise:
        * closed: every call passes; ``failures_to_open`` failures in a row open the circuit.
        * open: every call is refused at once. When the pause is over, one probe may start.
        * half open: one probe is under way; every call and every other probe is refused. The probe's success closes the
          circuit, its failure opens it again for twice the pause, up to ``longest_pause_s``.
        * pauses are drawn between half and all of their length, so that replicas do not return in step.

    Not thread-safe: it belongs to one event loop. The idea is Nygard's, *Release It!* (2007), chapter 5.
    """

    def __init__(
        self,
        *,
        failures_to_open: int = 5,
        first_pause_s: float = 0.1,
        longest_pause_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._failures_to_open = failures_to_open
        self._first_pause_s = first_pause_s
        self._longest_pause_s = longest_pause_s
        self._clock = clock
        self._draw = draw
        self._state = CircuitState.CLOSED
        self._failures = 0
        self._pause_s = first_pause_s
        self._probe_at = 0.0
        self._reason: object = ""
        self._is_said = False
        self._said_again_at = float("-inf")
        self.times_opened = 0
        """How often the circuit went from closed to open."""

    @property
    def state(self) -> CircuitState:
        """Whether calls pass; for readiness and metrics."""
        return self._state

    def require_closed(self) -> None:
        """Let a call pass.

        Raises:
            StorageUnavailable: If the circuit is not closed.
        """
        if self._state is not CircuitState.CLOSED:
            raise StorageUnavailable("Redis is not asked: its circuit is open after repeated failures")

    def succeeded(self) -> None:
        """Record that a call was answered; a late answer does not close an open circuit, only a probe does."""
        self._failures = 0

    def failed(self, reason: object = "it did not answer") -> None:
        """Record that a call was not answered; the reason is logged if that opens the circuit."""
        self._failures += 1
        if self._state is CircuitState.CLOSED and self._failures >= self._failures_to_open:
            self.times_opened += 1
            self._pause_s = self._first_pause_s
            self._reason = reason
            self._open()

    def seconds_to_probe(self) -> float | None:
        """Return how long until a probe may start, 0 for now, None when none is needed or one is under way."""
        if self._state is not CircuitState.OPEN:
            return None
        return max(0.0, self._probe_at - self._clock())

    def begin_probe(self) -> bool:
        """Take the one place of the probe; False if it is too early, taken or not needed."""
        if self.seconds_to_probe() != 0.0:
            return False
        self._state = CircuitState.HALF_OPEN
        return True

    def end_probe(self, *, well: bool) -> None:
        """Close the circuit after a good probe, else pause for twice as long."""
        if self._state is not CircuitState.HALF_OPEN:
            return
        if well:
            self._state = CircuitState.CLOSED
            self._failures = 0
            self._pause_s = self._first_pause_s
            if self._is_said:
                self._is_said = False
                logger.warning("Redis answers again: histories are read")
        else:
            self._pause_s = min(self._pause_s * 2, self._longest_pause_s)
            self._open()

    def _open(self) -> None:
        self._state = CircuitState.OPEN
        if not self._is_said and self._clock() >= self._said_again_at:
            self._is_said, self._said_again_at = True, self._clock() + SAID_AGAIN_AFTER_S
            logger.error("lists are ranked without history until Redis answers: %s", self._reason)
        self._probe_at = self._clock() + self._pause_s * (0.5 + self._draw() / 2)
