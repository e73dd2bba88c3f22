"""A request's objective weights as the vector that the graph takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from app.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from app.contract.tensors import Float32Array


def weights_of(objective: Mapping[str, float], names: Sequence[str]) -> Float32Array | None:
    """Return ``float32[O]`` weights in the order of ``names``, 0 for those left out, or None for the default.

    >>> weights_of({"purchase": 0.7}, ["click", "purchase"])
    array([0. , 0.7], dtype=float32)

    Raises:
        InvalidRequest: If an objective is not the bundle's, or all weights are 0.
    """
    if not objective:
        return None
    for name in objective:
        if name not in names:
            known = ", ".join(names) if names else "none"
            raise InvalidRequest(f"the bundle has no objective {name!r}, expected one of: {known}", path="objective")
    weights_O = np.array([objective.get(name, 0.0) for name in names], np.float32)
    if not weights_O.any():
        raise InvalidRequest("every weight of objective is 0, expected one above", path="objective")
    return weights_O
