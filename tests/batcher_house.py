"""A line in front of a model that a test holds in its hand."""

# ruff: noqa: D102 -- named for what they do

from __future__ import annotations

import asyncio
import threading
import time

import numpy as np

from app.contract.encoding import EMPTY_HISTORY
from app.inference.batch_layout import BatchLayout
from app.inference.batch_policy import BatchPolicy
from app.inference.latency_predictor import LatencyCurve, LatencyPredictor
from app.inference.micro_batcher import MicroBatcher

FAR_S = 30.0
BATCHED = BatchPolicy(workers=1, layout=BatchLayout((4,), (2,), (1, 2, 4)), max_batch=4)
SIDE_BY_SIDE = BatchPolicy(workers=2)
RAGGED = BatchPolicy(
    workers=2, layout=BatchLayout(batch_buckets=(1, 2, 3), pads_to_longest=True), max_batch=3, run_events=9.0
)


class SlowModel:
    """Answers each row number as its own score, once its gate is open; keeps what it was asked."""

    def __init__(self, *, closed: bool = False) -> None:
        self.gate = threading.Event()
        if not closed:
            self.gate.set()
        self.started = threading.Semaphore(0)
        self.batches: list[np.ndarray] = []
        self.error: Exception | None = None
        self.lose_rows = 0

    def score(self, batch):
        self.batches.append(batch.candidate_rows_BC)
        self.started.release()
        assert self.gate.wait(10)
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        scores_BC = batch.candidate_rows_BC.astype(np.float32)
        return scores_BC[: len(scores_BC) - self.lose_rows]

    def score_catalog(self, history):
        return np.arange(5, dtype=np.float32)[None].repeat(len(history.rows_BH), axis=0)


def batcher(model, policy=BATCHED, *, max_waiting=16, curve_s=0.001):
    predictors = [LatencyPredictor(LatencyCurve((1,), (seconds,))) for seconds in (curve_s, 0.001)]
    return MicroBatcher(
        model, policy=policy, predictor=predictors[0], catalog_predictor=predictors[1], max_waiting=max_waiting,
        stop_timeout_s=0.3,
    )  # fmt: skip


def ask(line, *rows, within_s=FAR_S, history=EMPTY_HISTORY):
    return asyncio.create_task(
        line.score(history, np.array(rows), objective_weights_O=None, deadline_s=time.monotonic() + within_s)
    )


async def until(condition):
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it did not happen")


async def with_one_under_way(line, model):
    """Return the task of a request that the model has begun."""
    first = ask(line, 1)
    await until(lambda: model.started.acquire(blocking=False))
    return first
