"""Rows for texts that came with a request and belong to no item."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.contract.tensors import Int64Array


class TextRows:
    """Remembers the rows of the texts used last.

    Args:
        capacity: Texts to remember; the one that was not used for longest goes first.
    """

    def __init__(self, *, capacity: int) -> None:
        self._capacity = capacity
        self._row_of_text: OrderedDict[str, int] = OrderedDict()

    def __len__(self) -> int:
        """Return how many texts are remembered."""
        return len(self._row_of_text)

    def missing(self, texts: Sequence[str]) -> list[str]:
        """Return the texts that have no row, each once, in order."""
        return [text for text in dict.fromkeys(texts) if text not in self._row_of_text]

    def rows_of(self, texts: Sequence[str]) -> Int64Array:
        """Return ``int64[n]`` rows of texts that all have one, and mark them as used.

        Raises:
            KeyError: If a text has no row.
        """
        for text in texts:
            self._row_of_text.move_to_end(text)
        return np.asarray([self._row_of_text[text] for text in texts], np.int64)

    def remember(self, texts: Sequence[str], rows: Int64Array) -> list[int]:
        """Remember the rows of new texts; return the rows of the texts that were forgotten for them."""
        freed = []
        for text, row in zip(texts, rows.tolist(), strict=True):
            if text in self._row_of_text:  # two requests encoded it at the same time
                freed.append(row)
            else:
                self._row_of_text[text] = row
        while len(self._row_of_text) > self._capacity:
            freed.append(self._row_of_text.popitem(last=False)[1])
        return freed
