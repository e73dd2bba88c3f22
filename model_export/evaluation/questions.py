"""The questions of an evaluation: what is visible of each user, when, and which item comes next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from model_export.data.history_arrays import histories_between

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.contract.tensors import BoolArray, HistoryBatch, Int64Array
    from model_export.data.dataset import Dataset
    from model_export.data.splits import Targets


@dataclass(frozen=True, slots=True)
class Questions:
    """T questions "which item comes next?", each with its answer.

    Attributes:
        data: The prepared events.
        targets: The events to predict.
        starts: ``int64[T]``: a scorer sees the events ``starts[t] : targets.history_ends[t]``. That is the user's whole
            past, except where a colder user is played (`with_latest`).
    """

    data: Dataset
    targets: Targets
    starts: Int64Array

    @classmethod
    def of(cls, data: Dataset, targets: Targets) -> Questions:
        """Return the questions with each user's whole past visible."""
        return cls(data, targets, data.user_offsets[targets.users])

    def __len__(self) -> int:
        """Return T."""
        return len(self.targets)

    @property
    def answers(self) -> Int64Array:
        """``int64[T]``, the row of the item that came."""
        return self.data.rows[self.targets.events]

    @property
    def asked_at_ms(self) -> Int64Array:
        """``int64[T]``, the moment of each question: the timestamp of the event to predict."""
        return self.data.timestamps_ms[self.targets.events]

    @property
    def history_lengths(self) -> Int64Array:
        """``int64[T]``, how many events are visible."""
        return self.targets.history_ends - self.starts

    def with_latest(self, event_count: int) -> Questions:
        """Return the same questions with at most the latest ``event_count`` events visible.

        What is masked stays: every item of the user's whole past, so that the rows of a table compare.
        """
        latest = np.maximum(self.starts, self.targets.history_ends - event_count)
        return Questions(self.data, self.targets, latest)

    def subset(self, positions: Int64Array) -> Questions:
        """Return the questions at these positions (or where a mask is True)."""
        return Questions(self.data, self.targets.take(positions), self.starts[positions])

    def sampled(self, most: int, random: np.random.Generator) -> Questions:
        """Return at most ``most`` of the questions, drawn without replacement, in their order."""
        if len(self) <= most:
            return self
        return self.subset(np.sort(random.choice(len(self), most, replace=False)))

    def blocks(self, size: int) -> Iterator[tuple[Int64Array, Questions]]:
        """Yield positions and questions, ``size`` at a time, short histories first, so that blocks pad little."""
        order = np.argsort(self.history_lengths, kind="stable")
        for start in range(0, len(order), size):
            positions = order[start : start + size]
            yield positions, self.subset(positions)

    def histories(self, history_length: int) -> HistoryBatch:
        """Return the visible histories as the graph takes them, aged at the moment of each question."""
        return histories_between(
            self.data,
            starts=self.starts,
            ends=self.targets.history_ends,
            now_ms=self.asked_at_ms,
            history_length=history_length,
        )

    def visible_rows(self) -> tuple[Int64Array, Int64Array]:
        """Return ``int64[V]`` question positions and ``int64[V]`` item rows of all visible events, oldest first."""
        return self._rows_between(self.starts)

    def seen_rows(self, *, latest: int | None = None) -> tuple[Int64Array, Int64Array]:
        """Return ``int64[S]`` question positions and item rows of what the user did before, for the mask.

        Args:
            latest: Only so many of each user's latest events, as a service that keeps no more knows them.
        """
        starts = self.data.user_offsets[self.targets.users]
        if latest is not None:
            starts = np.maximum(starts, self.targets.history_ends - latest)
        return self._rows_between(starts)

    def seen_other_rows(self) -> tuple[Int64Array, Int64Array]:
        """Return question positions and rows of seen items, each once, the answers left out: what masking removes."""
        asked, rows = self.seen_rows()
        row_count = self.data.item_count + 1
        once = np.unique(asked * row_count + rows)
        asked, rows = once // row_count, once % row_count
        other = rows != self.answers[asked]
        return asked[other], rows[other]

    def answer_was_seen(self) -> BoolArray:
        """Return ``bool[T]``: whether the user had the answer before."""
        asked, rows = self.seen_rows()
        seen_T = np.zeros(len(self), np.bool_)
        seen_T[asked[rows == self.answers[asked]]] = True
        return seen_T

    def _rows_between(self, starts: Int64Array) -> tuple[Int64Array, Int64Array]:
        lengths = self.targets.history_ends - starts
        questions = np.repeat(np.arange(len(self)), lengths)
        within = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return questions, self.data.rows[np.repeat(starts, lengths) + within]
