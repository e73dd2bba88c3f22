"""The sparse user-item matrices that the baselines are fitted on and asked with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from model_export.data.splits import events_before

if TYPE_CHECKING:
    from app.contract.tensors import Int64Array
    from model_export.data.dataset import Dataset
    from model_export.evaluation.questions import Questions


def user_item_matrix(data: Dataset, ends_U: Int64Array) -> sparse.csr_array:
    """Return ``float32[U, N + 1]`` with a 1 where a user did anything with an item before the user's end."""
    events = events_before(data, ends_U)
    return _binary(data.users_of_events()[events], data.rows[events], (data.user_count, data.item_count + 1))


def visible_matrix(questions: Questions) -> sparse.csr_array:
    """Return ``float32[B, N + 1]`` with a 1 for every item in the visible history of a question."""
    positions, rows = questions.visible_rows()
    return _binary(positions, rows, (len(questions), questions.data.item_count + 1))


def _binary(rows: Int64Array, columns: Int64Array, shape: tuple[int, int]) -> sparse.csr_array:
    matrix = sparse.csr_array((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)
    matrix.sum_duplicates()
    matrix.data[:] = 1.0
    return matrix
