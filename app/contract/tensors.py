"""The names, dtypes and fixed values of every tensor that crosses the ONNX boundary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Float32Array: TypeAlias = "NDArray[np.float32]"
Int64Array: TypeAlias = "NDArray[np.int64]"
UInt64Array: TypeAlias = "NDArray[np.uint64]"
FloatArray: TypeAlias = "NDArray[np.float32] | NDArray[np.float64]"
BoolArray: TypeAlias = "NDArray[np.bool_]"

PADDING_ROW: Final = 0
"""Row 0 of the item table is zeros and stands for 'no item' in histories and candidates."""

MASKED_LOGIT: Final = -1e4
"""Added to the attention logit of a masked position; finite in FP16, where ``finfo(float32).min`` becomes -inf."""

ITEM_TABLE: Final = "item_table"
HISTORY_ROWS: Final = "history_rows"
HISTORY_ACTIONS: Final = "history_actions"
HISTORY_AGE_S: Final = "history_age_s"
CANDIDATE_ROWS: Final = "candidate_rows"
OBJECTIVE_WEIGHTS: Final = "objective_weights"
"""Input of ``ranker.onnx``, ``[1 or B, O]``; optional, with a default."""

SCORES: Final = "scores"
CATALOG_SCORES: Final = "catalog_scores"
"""Output of ``retriever.onnx``: ``[B, N + 1]``, the dot-product score of every row of the table."""

INPUT_IDS: Final = "input_ids"
ATTENTION_MASK: Final = "attention_mask"
ITEM_VECTORS: Final = "item_vectors"


@dataclass(frozen=True, slots=True)
class HistoryBatch:
    """The histories of B requests as the graph takes them: oldest event first, padding at the end.

    Attributes:
        rows_BH: ``int64[B, H]`` item rows, `PADDING_ROW` after the last event.
        actions_BH: ``int64[B, H]`` action ids (positions in the manifest's ``actions``), 0 in the padding.
        age_s_BH: ``float32[B, H]`` seconds before the request's timestamp, never negative, 0 in the padding.
    """

    rows_BH: Int64Array
    actions_BH: Int64Array
    age_s_BH: Float32Array


@dataclass(frozen=True, slots=True)
class RankingBatch:
    """One call of ``ranker.onnx``.

    Attributes:
        history: The B histories.
        candidate_rows_BC: ``int64[B, C]`` item rows, `PADDING_ROW` in the padding.
        objective_weights_BO: ``float32[B, O]`` or None for the bundle's default.
    """

    history: HistoryBatch
    candidate_rows_BC: Int64Array
    objective_weights_BO: Float32Array | None = None
