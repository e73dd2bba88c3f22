"""Numbers on the command line: argparse types that refuse, in a sentence, what no command could work with."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

LARGEST_SEED: Final = 2**32 - 1
"""What numpy's, torch's and Optuna's generators all take."""


def whole_number(low: int, high: int | None = None) -> Callable[[str], int]:
    """Return an argparse type: a whole number from ``low`` to ``high``, both included.

    >>> whole_number(1)("20")
    20
    """
    expected = f"a whole number of {low} or more" if high is None else f"a whole number from {low} to {high}"

    def parsed(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise _refused(text, expected) from None
        if value < low or (high is not None and value > high):
            raise _refused(text, expected)
        return value

    return parsed


def number(low: float, high: float) -> Callable[[str], float]:
    """Return an argparse type: a number from ``low`` to ``high``, both included.

    >>> number(0, 1)("0.3")
    0.3
    """
    expected = f"a number from {low:g} to {high:g}"

    def parsed(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise _refused(text, expected) from None
        if math.isnan(value) or not low <= value <= high:
            raise _refused(text, expected)
        return value

    return parsed


def seed(text: str) -> int:
    """Return a seed; an argparse type."""
    return whole_number(0, LARGEST_SEED)(text)


def _refused(text: str, expected: str) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(f"the value is {text}, expected {expected}")
