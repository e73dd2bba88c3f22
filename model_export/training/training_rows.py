"""Users' training events as rows of inputs and targets, batched by length."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.contract.tensors import Float32Array, Int64Array
    from model_export.data.dataset import Dataset


@dataclass(frozen=True, slots=True)
class TrainingBatch:
    """B rows; position l predicts target l from the events before it. All tensors are right-padded with 0.

    Attributes:
        rows_BH: int64, the input events.
        actions_BH: int64.
        age_s_BH: float32, seconds before the row's last target.
        targets_BL: int64, L = H + 1; 0 where nothing is to be predicted.
        outcomes_BL: int64, the outcome of each target.
        available_BL: int64, how many items, in the order of their arrival, each target was chosen among.
    """

    rows_BH: Tensor
    actions_BH: Tensor
    age_s_BH: Tensor
    targets_BL: Tensor
    outcomes_BL: Tensor
    available_BL: Tensor

    def to(self, device: torch.device) -> TrainingBatch:
        """Return the batch on a device."""
        return TrainingBatch(*(getattr(self, entry.name).to(device) for entry in fields(self)))

    def with_rows_among(self, rows: Tensor) -> TrainingBatch:
        """Return the batch with item rows as positions in ``rows`` (int64[n], ascending, row 0 first)."""
        return replace(
            self,
            rows_BH=torch.searchsorted(rows, self.rows_BH),
            targets_BL=torch.searchsorted(rows, self.targets_BL),
        )


class EventLabels(NamedTuple):
    """What is known of each of the E events as a target.

    Attributes:
        outcomes_E: int64, which objective it fulfils.
        available_E: int64, see `model_export.training.arrivals.Arrivals`.
    """

    outcomes_E: Int64Array
    available_E: Int64Array


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """Windows over users' events: R rows.

    A user with at most ``history_length + 1`` events is one row. A longer one becomes several, half overlapping, and
    every event is a target exactly once, with at least half the history length before it.

    Attributes:
        first_inputs: ``int64[R]``, event index of the first input, which is also the start token's target.
        last_targets: ``int64[R]``, event index of the last target.
        first_targets: ``int64[R]``, event index of the first target that counts.
    """

    first_inputs: Int64Array
    last_targets: Int64Array
    first_targets: Int64Array

    def __len__(self) -> int:
        """Return R."""
        return len(self.first_inputs)

    @property
    def lengths(self) -> Int64Array:
        """``int64[R]`` positions of each row, the start token's among them."""
        return self.last_targets - self.first_inputs + 1


def training_rows(starts_U: Int64Array, ends_U: Int64Array, history_length: int) -> TrainingRows:
    """Cut the events ``starts[u] : ends[u]`` of each user into rows.

    >>> training_rows(np.array([0]), np.array([7]), history_length=4)
    TrainingRows(first_inputs=array([0, 2]), last_targets=array([4, 6]), first_targets=array([0, 5]))
    """
    first_inputs, last_targets, first_targets = [], [], []
    for start, end in zip(starts_U.tolist(), ends_U.tolist(), strict=True):
        next_target = start
        while next_target < end:
            first = max(start, next_target - max(history_length // 2, 1)) if next_target > start else start
            if end - 1 - first <= history_length:
                first = max(start, end - 1 - history_length)
            last = min(first + history_length, end - 1)
            first_inputs.append(first)
            last_targets.append(last)
            first_targets.append(next_target)
            next_target = last + 1
    return TrainingRows(*(np.asarray(column, np.int64) for column in (first_inputs, last_targets, first_targets)))


def length_bucketed_batches(
    lengths_R: Int64Array, *, positions_per_batch: int, random: np.random.Generator
) -> Iterator[Int64Array]:
    """Yield row numbers of batches in random order, each of rows of similar length.

    Rows are shuffled, then sorted by length inside pools of many batches, so that batches differ from epoch to epoch
    and little is padding.

    Args:
        lengths_R: Positions of each row.
        positions_per_batch: Positions of a batch, padding included; a longer row is a batch of its own.
        random: Draws the order.
    """
    order = random.permutation(len(lengths_R))
    pool_size = max(len(order) // 8, 1024)
    batches = []
    for pool_start in range(0, len(order), pool_size):
        pool = order[pool_start : pool_start + pool_size]
        pool = pool[np.argsort(lengths_R[pool], kind="stable")]
        start = 0
        while start < len(pool):
            stop = start + 1
            while stop < len(pool) and (stop + 1 - start) * lengths_R[pool[stop]] <= positions_per_batch:
                stop += 1
            batches.append(pool[start:stop])
            start = stop
    for position in random.permutation(len(batches)):
        yield batches[position]


def training_batch(
    data: Dataset, rows: TrainingRows, chosen_B: Int64Array, labels: EventLabels, start_events_B: Int64Array
) -> TrainingBatch:
    """Gather chosen rows into right-padded tensors.

    Args:
        data: The events.
        rows: All rows.
        chosen_B: ``int64[B]`` which of them.
        labels: Of all events.
        start_events_B: ``int64[B]`` events that the start tokens predict instead of their own rows' first events.
    """
    first_B = rows.first_inputs[chosen_B][:, None]
    last_B = rows.last_targets[chosen_B][:, None]
    width = int(rows.lengths[chosen_B].max())
    target_BL = first_B + np.arange(width)
    counts_BL = (target_BL <= last_B) & (target_BL >= rows.first_targets[chosen_B][:, None])
    input_BH = target_BL[:, : max(width - 1, 1)]
    real_BH = input_BH < last_B
    safe_BL, safe_BH = np.minimum(target_BL, last_B), np.minimum(input_BH, last_B)
    safe_BL[:, 0] = start_events_B
    age_ms_BH = data.timestamps_ms[last_B] - data.timestamps_ms[safe_BH]
    age_s_BH: Float32Array = (age_ms_BH / 1000.0).astype(np.float32)
    return TrainingBatch(
        rows_BH=torch.from_numpy(data.rows[safe_BH] * real_BH),
        actions_BH=torch.from_numpy(data.action_ids[safe_BH] * real_BH),
        age_s_BH=torch.from_numpy(age_s_BH * real_BH),
        targets_BL=torch.from_numpy(_widened(data.rows[safe_BL] * counts_BL)),
        outcomes_BL=torch.from_numpy(_widened(labels.outcomes_E[safe_BL] * counts_BL)),
        available_BL=torch.from_numpy(_widened(labels.available_E[safe_BL] * counts_BL)),
    )


def _widened(array_BL: Int64Array) -> Int64Array:
    """Give rows without inputs the second position that a history of at least one column implies."""
    return array_BL if array_BL.shape[1] > 1 else np.pad(array_BL, ((0, 0), (0, 1)))
