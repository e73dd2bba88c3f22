"""Scores batches with the bundle's ranker, or whole catalogues with its retriever, in ONNX Runtime."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnxruntime as ort

from app.contract import tensors
from app.contract.manifest import RANKER_FILE, RETRIEVER_FILE
from app.errors import BundleError, ScoringFailed
from app.inference.onnx_session import TensorSpec, open_session
from app.inference.resident_table import ResidentTable

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from app.contract.tensors import Float32Array, HistoryBatch, Int64Array, RankingBatch
    from app.inference.provider import Provider

_TABLE: Final = TensorSpec(tensors.ITEM_TABLE, ("tensor(float)", "tensor(float16)"), 2)
_HISTORY: Final = (
    TensorSpec(tensors.HISTORY_ROWS, ("tensor(int64)",), 2),
    TensorSpec(tensors.HISTORY_ACTIONS, ("tensor(int64)",), 2),
    TensorSpec(tensors.HISTORY_AGE_S, ("tensor(float)",), 2),
)
_CANDIDATES: Final = TensorSpec(tensors.CANDIDATE_ROWS, ("tensor(int64)",), 2)
_OBJECTIVES: Final = TensorSpec(tensors.OBJECTIVE_WEIGHTS, ("tensor(float)",), 2)
_SCORES: Final = TensorSpec(tensors.SCORES, ("tensor(float)",), 2)
_CATALOG_SCORES: Final = TensorSpec(tensors.CATALOG_SCORES, ("tensor(float)",), 2)
_TABLE_DTYPES: Final[dict[str, np.dtype[Any]]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(float16)": np.dtype(np.float16),
}


class OnnxRanker:
    """The two sessions and the item table that both read.

    Promise, from any number of threads at once: a call sees one item table from beginning to end, the one that was in
    use when it began; it returns exactly one finite float32 score a candidate, or raises `ScoringFailed`; the end of
    one call never touches another's.

    The table is handed over without a copy on the CPU, so a memory-mapped array stays shared between processes. On
    CUDA it is copied to the GPU once; from then on only rows that were written travel there.
    """

    def __init__(self, bundle: Path, item_table: NDArray[Any], *, provider: Provider, threads: int = 1) -> None:
        """Open ``ranker.onnx`` and ``retriever.onnx`` of ``bundle``.

        Args:
            bundle: The folder.
            item_table: See `use_item_table`.
            provider: What to run on.
            threads: Threads of one run.

        Raises:
            BundleError: If a graph cannot be loaded, or does not take and give what the contract says.
            ProviderUnavailable: If a session got another provider.
        """
        self._provider = provider
        self._resident: ResidentTable | None = None
        self._ranker = open_session(
            bundle / RANKER_FILE,
            provider,
            threads=threads,
            inputs=(_TABLE, *_HISTORY, _CANDIDATES),
            outputs=(_SCORES,),
            optional_inputs=(_OBJECTIVES,),
        )
        self._retriever = open_session(
            bundle / RETRIEVER_FILE, provider, threads=threads, inputs=(_TABLE, *_HISTORY), outputs=(_CATALOG_SCORES,)
        )
        self.table_dtype = _table_dtype(self._ranker, self._retriever)
        self.takes_objectives = bool(self._ranker.get_overridable_initializers())
        self.use_item_table(item_table)

    @property
    def row_count(self) -> int:
        """Rows of the table in use, the padding row included."""
        return self._table[1]

    def use_item_table(self, item_table: NDArray[Any], written_rows: Int64Array | None = None) -> None:
        """Use another table from the next call on; calls that are running finish with the one they have.

        Args:
            item_table: ``[rows, D]`` of `table_dtype`, C order, row 0 zeros. It is not copied on the CPU: rows that
                are in use must not change afterwards.
            written_rows: ``int64[n]``: all rows that differ from the table in use, which nothing reads yet. None: it
                is another table.

        Raises:
            ValueError: If dtype, shape or memory order differ.
        """
        if item_table.dtype != self.table_dtype or item_table.ndim != 2 or not item_table.flags.c_contiguous:  # noqa: PLR2004 -- two axes
            message = (
                f"the item table is {item_table.dtype}{list(item_table.shape)}, "
                f"expected {self.table_dtype}[rows, width] in C order"
            )
            raise ValueError(message)
        if self._provider.name == "cpu":
            value, capacity = ort.OrtValue.ortvalue_from_numpy(item_table, "cpu", 0), len(item_table)
        else:
            resident = self._resident_table(item_table, written_rows)
            value, capacity = resident.value, resident.capacity
        # one assignment of one tuple: a concurrent call sees all of the old ones or of the new ones
        self._table = (value, len(item_table), capacity)

    def _resident_table(self, item_table: NDArray[Any], written_rows: Int64Array | None) -> ResidentTable:
        if self._resident is None or written_rows is None or len(item_table) > self._resident.capacity:
            self._resident = ResidentTable(item_table, self._provider)
        else:
            self._resident.write(item_table, written_rows)
        return self._resident

    def pinned(self) -> OnnxRanker:
        """Return a ranker on the same sessions that keeps the table now in use, whatever this one is given later.

        Golden requests are held to the table that was published, not to one that has grown or changed since.
        """
        return copy.copy(self)

    def score(self, batch: RankingBatch) -> Float32Array:
        """Return ``float32[B, C]``, finite.

        Raises:
            ScoringFailed: If the graph failed, answered with another shape, or a score is not finite.
        """
        history = batch.history
        feeds = {
            tensors.ITEM_TABLE: self._table[0],
            tensors.HISTORY_ROWS: history.rows_BH,
            tensors.HISTORY_ACTIONS: history.actions_BH,
            tensors.HISTORY_AGE_S: history.age_s_BH,
            tensors.CANDIDATE_ROWS: batch.candidate_rows_BC,
        }
        if batch.objective_weights_BO is not None:
            if not self.takes_objectives:
                raise ScoringFailed("objective weights were given, but this bundle's ranker takes none")
            feeds[tensors.OBJECTIVE_WEIGHTS] = batch.objective_weights_BO
        return _run(self._ranker, tensors.SCORES, feeds, batch.candidate_rows_BC.shape)

    def score_catalog(self, history: HistoryBatch) -> Float32Array:
        """Return ``float32[B, rows]``, the dot-product score of every row of the table; row 0 is padding.

        Raises:
            ScoringFailed: See `score`.
        """
        table, rows, capacity = self._table
        feeds = {
            tensors.ITEM_TABLE: table,
            tensors.HISTORY_ROWS: history.rows_BH,
            tensors.HISTORY_ACTIONS: history.actions_BH,
            tensors.HISTORY_AGE_S: history.age_s_BH,
        }
        # on a device the table has room for more rows than are in use
        return _run(self._retriever, tensors.CATALOG_SCORES, feeds, (len(history.rows_BH), capacity))[:, :rows]


def _run(
    session: ort.InferenceSession, output: str, feeds: dict[str, Any], expected_shape: tuple[int, ...]
) -> Float32Array:
    try:
        scores: Float32Array = session.run((output,), feeds)[0]
    except Exception as error:
        raise ScoringFailed(f"the model failed on a batch of {expected_shape}: {str(error)[:300]}") from error
    if scores.shape != expected_shape:
        raise ScoringFailed(f"the model answered with {scores.shape} scores, expected {expected_shape}")
    # one pass without a temporary; the sum of squares is finite only if every score is
    if not math.isfinite(np.vdot(scores, scores)) and not np.isfinite(scores).all():
        raise ScoringFailed(f"{int((~np.isfinite(scores)).sum())} of {scores.size} scores are not finite")
    return scores


def _table_dtype(ranker: ort.InferenceSession, retriever: ort.InferenceSession) -> np.dtype[Any]:
    types: list[str] = [
        next(tensor.type for tensor in session.get_inputs() if tensor.name == tensors.ITEM_TABLE)
        for session in (ranker, retriever)
    ]
    if types[0] != types[1]:
        raise BundleError(f"{RANKER_FILE} takes an item table of {types[0]}, {RETRIEVER_FILE} one of {types[1]}")
    return _TABLE_DTYPES[types[0]]
