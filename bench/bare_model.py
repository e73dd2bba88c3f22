"""The floor under every measurement: `InferenceSession.run` of the bundle's own graph on one thread."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from app.contract.manifest import ITEM_TABLE_FILE, RANKER_FILE
from app.contract.tensors import ITEM_TABLE, SCORES

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


class BareModel:
    """A session with default options but for one thread."""

    def __init__(self, bundle: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            str(bundle / RANKER_FILE), options, providers=["CPUExecutionProvider"]
        )
        self.item_table = np.load(bundle / ITEM_TABLE_FILE)

    def run(self, feed: dict[str, NDArray[Any]]) -> NDArray[Any]:
        """Score one request."""
        scores: NDArray[Any] = self.session.run([SCORES], {ITEM_TABLE: self.item_table, **feed})[0]
        return scores

    def latencies_s(self, feeds: list[dict[str, NDArray[Any]]], runs: int) -> tuple[list[float], float]:
        """Return the wall seconds of each run, and the mean CPU seconds of a run."""
        walls = []
        cpu_s = time.process_time()
        for number in range(runs):
            started_s = time.perf_counter()
            self.run(feeds[number % len(feeds)])
            walls.append(time.perf_counter() - started_s)
        return walls, (time.process_time() - cpu_s) / runs
