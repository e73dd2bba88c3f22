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

    Only their ratios count, so the largest becomes 1: the graph adds up chances of 0 to 1 and takes their logarithm,
    which would move every score, and lose small weights altogether.

    >>> weights_of({"purchase": 0.7}, ["click", "purchase"])
    array([0., 1.], dtype=float32)

    Raises:
        InvalidRequest: If an objective is not the bundle's, or all weights are 0.
    """
    if not objective:
        return None
    for name in objective:
        if name not in names:
            known = ", ".join(names) if names else "none"
            raise InvalidRequest(f"the bundle has no objective {name!r}, expected one of: {known}", path="objective")
    weights_O = np.array([objective.get(name, 0.0) for name in names])
    if not weights_O.any():
        raise InvalidRequest("every weight of objective is 0, expected one above", path="objective")
    ratios_O: Float32Array = (weights_O / weights_O.max()).astype(np.float32)
    return ratios_O
