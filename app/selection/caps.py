"""Caps on how many items of one group a list may hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from app.contract.tensors import BoolArray, Int64Array

_NO_GROUP: Final = -1


class OpenPlaces:
    """Which candidates may still enter a list while it is being filled, best first.

    A candidate closes when it is taken, or when one of its groups is full. A candidate without a label (an empty
    string) is in no group and never capped.

    Attributes:
        open_M: ``bool[M]``: True for each candidate that may still be taken.
    """

    def __init__(self, labels: Mapping[str, Sequence[str]], max_per: Mapping[str, int], *, count: int) -> None:
        """Open all candidates.

        Args:
            labels: For each capped column the labels of the M candidates, in their order.
            max_per: For each capped column how many items of one label the list may hold, at least 1.
            count: M.

        Raises:
            ValueError: If a column has another number of labels than there are candidates, or a cap is below 1.
        """
        self.open_M: BoolArray = np.ones(count, np.bool_)
        self._columns: list[tuple[Int64Array, list[int]]] = []
        for column, most in max_per.items():
            if most < 1:
                raise ValueError(f"max_per of {column} is {most}, expected at least 1")
            if len(labels[column]) != count:
                raise ValueError(
                    f"{column} has {len(labels[column])} labels, expected one for each of {count} candidates"
                )
            codes_M = _codes(labels[column])
            self._columns.append((codes_M, [most] * (int(codes_M.max(initial=_NO_GROUP)) + 1)))

    def take(self, position: int) -> None:
        """Take one open candidate and close every group that it fills."""
        self.open_M[position] = False
        for codes_M, room in self._columns:
            code = int(codes_M[position])
            if code == _NO_GROUP:
                continue
            room[code] -= 1
            if room[code] == 0:
                self.open_M[codes_M == code] = False

    def fill(self, positions: Iterable[int], count: int) -> list[int]:
        """Take up to ``count`` open candidates in the given order; return those taken."""
        taken: list[int] = []
        for position in positions:
            if len(taken) == count:
                break
            if self.open_M[position]:
                self.take(position)
                taken.append(position)
        return taken


def _codes(labels: Sequence[str]) -> Int64Array:
    """Return ``int64[M]``, a small number for each label, the same for equal ones; `_NO_GROUP` for the empty label."""
    known: dict[str, int] = {}
    return np.fromiter(
        (known.setdefault(label, len(known)) if label else _NO_GROUP for label in labels), np.int64, len(labels)
    )
