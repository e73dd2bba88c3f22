"""The outcomes of an event that a request can weigh: its action, or whether its rating was high."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from app.contract.tensors import Int64Array
    from model_export.data.dataset import Dataset


@dataclass(frozen=True, slots=True)
class Outcomes:
    """O outcomes that exclude each other.

    Attributes:
        names: The objectives' names, in the order of ``objective_weights``.
        of_events: ``int64[E]``, the outcome of each event.
    """

    names: tuple[str, ...]
    of_events: Int64Array

    def default_objective(self) -> dict[str, float]:
        """Return weight 1 for each: what counts is that the item is next, whatever comes of it."""
        return dict.fromkeys(self.names, 1.0)


def outcomes_of(data: Dataset) -> Outcomes:
    """Choose the outcomes: the actions if there are several, else two sides of a rating threshold, else one.

    The threshold is the rating that splits the events most evenly into below and at least.
    """
    if len(data.actions) > 1:
        return Outcomes(data.actions, data.action_ids)
    levels = np.unique(data.ratings[~np.isnan(data.ratings)])
    if len(levels) > 1 and not np.isnan(data.ratings).any():
        shares = np.array([(data.ratings >= level).mean() for level in levels[1:]])
        threshold = float(levels[1:][np.abs(shares - 0.5).argmin()])
        names = (f"rating<{threshold:g}", f"rating>={threshold:g}")
        return Outcomes(names, (data.ratings >= threshold).astype(np.int64))
    return Outcomes(data.actions, np.zeros(len(data.rows), np.int64))
