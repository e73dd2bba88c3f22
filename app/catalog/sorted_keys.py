"""Finds 64-bit keys among many: one look into a table of beginnings, then a few neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from app.contract.tensors import Int64Array, UInt64Array


class SortedKeys:
    """Answers which number a key has.

    Keys are hashes, so their upper bits fall evenly: ``starts`` says where the keys with the same upper bits begin, and
    only those few are compared. A binary search over a million keys misses the cache at most of its twenty steps.

    Args:
        keys: ``uint64[N]``; key ``n`` has the number ``n + 1``.

    Attributes:
        unique: Whether no key occurs twice.
    """

    def __init__(self, keys: UInt64Array) -> None:
        order = np.argsort(keys, kind="stable")
        self._keys = keys[order]
        self._numbers = (order + 1).astype(np.int32)
        self.unique = not (self._keys[1:] == self._keys[:-1]).any()
        bits = max(1, len(keys).bit_length())
        self._shift = np.uint64(64 - bits)
        upper = (self._keys >> self._shift).astype(np.int64)
        counts = np.bincount(upper, minlength=1 << bits)
        self._starts = np.zeros(1 << bits, np.int32)
        np.cumsum(counts[:-1], out=self._starts[1:])
        self._steps = np.arange(counts.max(initial=0), dtype=np.int32)

    def numbers_of(self, keys: UInt64Array) -> Int64Array:
        """Return ``int64[n]``, the number of each key, 0 for keys that there are none of."""
        if not len(self._keys):
            return np.zeros(len(keys), np.int64)
        starts = self._starts[(keys >> self._shift).astype(np.int64)]
        places = np.minimum(starts[:, None] + self._steps, len(self._keys) - 1)
        is_here = self._keys[places] == keys[:, None]
        found = places[np.arange(len(keys)), is_here.argmax(axis=1)]
        return np.where(is_here.any(axis=1), self._numbers[found], 0).astype(np.int64)
