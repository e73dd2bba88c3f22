"""Action names of the bundle as the ids that the graph takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from app.contract.identity import keys_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.contract.tensors import Int64Array, UInt64Array


class ActionIds:
    """Keys of action names to ids.

    >>> from app.contract.identity import keys_of
    >>> ActionIds(["view", "cart"]).of_keys(keys_of(["cart", "view", "wave"]))
    array([ 1,  0, -1])
    """

    def __init__(self, names: Sequence[str]) -> None:
        """Learn the names.

        Args:
            names: The manifest's ``actions``, in id order.
        """
        self.names = tuple(names)
        keys_A = keys_of(names)
        self._ids_A = np.argsort(keys_A)
        self._sorted_keys_A = keys_A[self._ids_A]

    def of_keys(self, keys_E: UInt64Array) -> Int64Array:
        """Return ``int64[E]`` ids, -1 for an action that the bundle does not have."""
        places_E = np.searchsorted(self._sorted_keys_A, keys_E)
        places_E[places_E == len(self._sorted_keys_A)] = 0
        return np.where(self._sorted_keys_A[places_E] == keys_E, self._ids_A[places_E], -1)
