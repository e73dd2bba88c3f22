"""The impressions of prepared data as the metrics take them, and our model asked with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow.parquet as pq
import torch

from model_export.data import columns
from model_export.data.impressions import CANDIDATES, CLICKED, HISTORY, PART
from model_export.errors import DataError
from model_export.evaluation.impressions import Impression

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from app.contract.tensors import FloatArray, Int64Array
    from model_export.data.dataset import Dataset
    from model_export.modeling.ranker import SequenceRanker

_ROWS_AT_ONCE: Final = 4096
_MS_A_STEP: Final = 1000
"""Impressions know the order of a history, not its times: one second a step, as `prepare` dates those clicks."""


def read_impressions(folder: Path, data: Dataset, part: str, *, after_ms: int) -> Iterator[Impression]:
    """Yield the labelled impressions of one part (``train``, ``dev``) that training cannot know of, in file order.

    Items that the data does not have leave histories and candidates.

    Args:
        folder: What ``prepare --format mind`` wrote.
        data: Read from there.
        part: Name of the folder in the raw data.
        after_ms: When the last event happened that the model was trained on. `prepare` makes events of the clicks in
            impressions, so a model may have been trained on the clicks of earlier ones.

    Raises:
        DataError: If the folder has no impressions, or none of this part that is late enough.
    """
    path = folder / columns.IMPRESSIONS_FILE
    if not path.exists():
        raise DataError(f"{folder} has no {columns.IMPRESSIONS_FILE}: its format does not say what was shown together")
    row_of_id = {item_id: row for row, item_id in enumerate(data.item_ids(), start=1)}
    earlier = found = 0
    for batch in pq.ParquetFile(path).iter_batches(_ROWS_AT_ONCE):
        for row in batch.to_pylist():
            if row[PART] != part or None in row[CLICKED]:
                continue
            if row[columns.TIMESTAMP] <= after_ms:
                earlier += 1
                continue
            found += 1
            yield _impression(row, row_of_id)
    if earlier and not found:
        raise DataError(
            f"all {earlier} labelled impressions of part {part!r} are from before the last event that was trained on, "
            "so the model may know their clicks; train with --split temporal"
        )
    if not found:
        raise DataError(f"{path} has no labelled impression of part {part!r}")


def _impression(row: dict[str, Any], row_of_id: dict[str, int]) -> Impression:
    candidates = _rows(row[CANDIDATES], row_of_id)
    history = _rows(row[HISTORY], row_of_id)
    clicked = np.asarray(row[CLICKED], np.bool_)
    return Impression(
        history_rows_H=history[history > 0],
        asked_at_ms=int(row[columns.TIMESTAMP]),
        candidate_rows_C=candidates[candidates > 0],
        clicked_C=clicked[candidates > 0],
    )


def _rows(item_ids: Sequence[str], row_of_id: dict[str, int]) -> Int64Array:
    return np.array([row_of_id.get(item_id, 0) for item_id in item_ids], np.int64)


class RunImpressionScorer:
    """The torch model, asked with the candidates of one impression at a time."""

    def __init__(self, model: SequenceRanker) -> None:
        self._model = model.eval()
        with torch.inference_mode():
            self._table_ND = model.item_table()
        self._weights_1O = torch.ones(1, model.shape.objectives)

    def scores_of(self, impression: Impression) -> FloatArray:
        """Return ``float32[C]``."""
        rows = impression.history_rows_H[-self._model.shape.history_length :]
        rows = rows if len(rows) else np.zeros(1, np.int64)
        age_s = (len(rows) - np.arange(len(rows))) * (_MS_A_STEP / 1000.0) * (rows > 0)
        with torch.inference_mode():
            scores_BC = self._model.score(
                self._table_ND,
                torch.from_numpy(rows)[None],
                torch.zeros(1, len(rows), dtype=torch.int64),
                torch.from_numpy(age_s.astype(np.float32))[None],
                torch.from_numpy(impression.candidate_rows_C)[None],
                self._weights_1O,
            )
        scores_C: FloatArray = scores_BC[0].numpy()
        return scores_C
