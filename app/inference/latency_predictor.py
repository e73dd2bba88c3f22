"""How long a run will take, learnt from the runs so far."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

MARGIN: Final = 1.3
"""A prediction is this many times the typical run, so that most runs stay below it."""

LEARNING_RATE: Final = 0.05
MOST_AT_ONCE: Final = 4.0
"""One run counts as at most this many times the prediction: a single pause of the machine must not close the door."""


@dataclass(frozen=True, slots=True)
class LatencyCurve:
    """Seconds of a run against its cells (candidates, padding included), as measured at warm-up.

    Attributes:
        cells: Ascending, at least one.
        seconds: For each, ascending.
    """

    cells: tuple[int, ...]
    seconds: tuple[float, ...]

    @classmethod
    def through(cls, cells: Sequence[int], seconds: Sequence[float]) -> LatencyCurve:
        """Return the lowest ascending curve through or above measured points, which noise may have disordered."""
        order = np.argsort(cells)
        ascending = np.maximum.accumulate(np.asarray(seconds, np.float64)[order])
        return cls(tuple(int(cells[place]) for place in order), tuple(ascending.tolist()))

    def seconds_of(self, cells: float) -> float:
        """Return the seconds of a run: interpolated, and in proportion beyond the last point."""
        if cells > self.cells[-1]:
            return self.seconds[-1] * cells / self.cells[-1]
        return _interpolated(cells, self.cells, self.seconds)

    def cells_within(self, seconds: float) -> int:
        """Return the most cells of a run that takes at most ``seconds``; 0 if even the smallest takes longer."""
        if seconds < self.seconds[0]:
            return 0
        if seconds >= self.seconds[-1]:
            return int(self.cells[-1] * seconds / self.seconds[-1])
        return int(_interpolated(seconds, self.seconds, self.cells))


def _interpolated(x: float, xs: Sequence[float], ys: Sequence[float]) -> float:
    """Return what `numpy.interp` returns, at a tenth of its cost for a handful of points.

    >>> _interpolated(15, (10, 20), (1.0, 2.0)), _interpolated(5, (10, 20), (1.0, 2.0))
    (1.5, 1.0)
    """
    right = bisect_right(xs, x)
    if right == 0:
        return ys[0]
    if right == len(xs):
        return ys[-1]
    share = (x - xs[right - 1]) / (xs[right] - xs[right - 1])
    return ys[right - 1] + share * (ys[right] - ys[right - 1])


class LatencyPredictor:
    """The warm-up's curve, scaled by how today's runs compare with it.

    One learnt number cannot be thrown off by traffic of one size only, and needs no more than one multiplication a run.
    The idea of predicting misses before they run is BentoML's (``latency = a * n + b``).
    """

    def __init__(self, curve: LatencyCurve) -> None:
        """Start with the warm-up's curve."""
        self.curve = curve
        self.scale = 1.0

    def predict_s(self, cells: int) -> float:
        """Return seconds that most runs of this size stay below."""
        return self.curve.seconds_of(cells) * self.scale * MARGIN

    def affordable(self, left_s: float) -> int:
        """Return how many cells fit into ``left_s`` seconds."""
        return self.curve.cells_within(left_s / (self.scale * MARGIN))

    def observe(self, cells: int, seconds: float) -> None:
        """Learn from one run."""
        ratio = seconds / max(self.curve.seconds_of(cells), 1e-9)
        self.scale += LEARNING_RATE * (min(ratio, self.scale * MOST_AT_ONCE) - self.scale)
