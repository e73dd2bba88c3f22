"""What a run trains on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from model_export.data.splits import events_before
from model_export.training.arrivals import arrivals

if TYPE_CHECKING:
    from app.contract.tensors import Int64Array
    from model_export.data.dataset import Dataset
    from model_export.data.splits import Split
    from model_export.data.statistics import DataStatistics
    from model_export.training.arrivals import Arrivals
    from model_export.training.item_texts import ItemTexts
    from model_export.training.outcomes import Outcomes

SELECT: Final = "select"
"""The phase in which validation events are held out and choose the number of epochs."""

REFIT: Final = "refit"
"""The phase in which validation events are trained on, too."""


@dataclass(frozen=True, slots=True)
class TrainingMaterial:
    """What a run trains on.

    Attributes:
        data: The events that the split refers to.
        split: Which of them are held out.
        statistics: Of all the data.
        texts: Of the items.
        outcomes: Of the events.
    """

    data: Dataset
    split: Split
    statistics: DataStatistics
    texts: ItemTexts
    outcomes: Outcomes

    def ends(self, phase: str) -> Int64Array:
        """Return ``int64[U]``: up to which event each user is trained on."""
        return self.split.refit_ends if phase == REFIT else self.split.train_ends

    def training_events(self, phase: str) -> Int64Array:
        """Return ``int64[V]``, the indices of the events that are trained on, ascending."""
        return events_before(self.data, self.ends(phase))

    def arrivals(self, phase: str) -> Arrivals:
        """Return when items came, as far as the training events tell; questions are asked when validation's are."""
        return arrivals(self.data, self.ends(phase), self.data.timestamps_ms[self.split.validation.events])

    def counts(self, phase: str) -> Int64Array:
        """Return ``int64[N + 1]``, training events of each row."""
        return event_counts(self.data, self.ends(phase))


def event_counts(data: Dataset, ends_U: Int64Array) -> Int64Array:
    """Return ``int64[N + 1]``: how often each row occurs among the events of each user before ``ends_U``."""
    return np.bincount(data.rows[events_before(data, ends_U)], minlength=data.item_count + 1)
