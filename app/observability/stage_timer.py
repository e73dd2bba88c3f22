"""A stop watch with named laps."""

from __future__ import annotations

import time


class StageTimer:
    """Runs from its making; satisfies `app.ranking.ports.StageTimer`."""

    __slots__ = ("_last_s", "laps")

    def __init__(self) -> None:
        self._last_s = time.perf_counter()
        self.laps: list[tuple[str, float]] = []
        """Stage and seconds, in order."""

    def lap(self, stage: str) -> None:
        """Book the time since the last lap, or since the start, on a stage."""
        now_s = time.perf_counter()
        self.laps.append((stage, now_s - self._last_s))
        self._last_s = now_s

    def durations_ms(self) -> dict[str, float]:
        """Return milliseconds by stage, in order."""
        return {stage: seconds * 1000.0 for stage, seconds in self.laps}
