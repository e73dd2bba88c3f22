"""Action names of the bundle as the ids that the graph takes."""

from __future__ import annotations

from itertools import repeat
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
        self._id_of_key = {key: number for number, key in enumerate(keys_of(names).tolist())}

    def of_keys(self, keys_E: UInt64Array) -> Int64Array:
        """Return ``int64[E]`` ids, -1 for an action that the bundle does not have."""
        if len(keys_E) and (keys_E == keys_E[0]).all():
            return np.full(len(keys_E), self._id_of_key.get(int(keys_E[0]), -1))
        return np.fromiter(map(self._id_of_key.get, keys_E.tolist(), repeat(-1)), np.int64, len(keys_E))
