"""The line's promise holds whatever arrives, leaves, fails and stops in whatever order."""

# ruff: noqa: D102, ARG002 -- named for what they do

from __future__ import annotations

import asyncio
import time

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from app.contract.encoding import EMPTY_HISTORY
from app.errors import BudgetExceeded, Overloaded, ScoringFailed, ShuttingDown
from app.inference.batch_layout import BatchLayout
from app.inference.batch_policy import BatchPolicy
from app.inference.latency_predictor import LatencyCurve, LatencyPredictor
from app.inference.micro_batcher import MicroBatcher

MAX_WAITING = 4


class SteppedWorkers:
    """Stands in for the threads: a run ends when the test says so, in the order that the test chooses."""

    def __init__(self) -> None:
        self.tasks = []

    def start(self, loop):
        pass

    def submit(self, task):
        self.tasks.append(task)

    def close(self):
        pass

    def trouble(self, *, stuck_after_s):
        return None


class RowModel:
    """Each candidate's score is its row; fails or loses a row on demand."""

    def __init__(self) -> None:
        self.mode = "well"

    def score(self, batch):
        if self.mode == "raise":
            raise RuntimeError("no")
        scores = batch.candidate_rows_BC.astype(np.float32)
        return scores[:-1] if self.mode == "drop" else scores


class BatcherMachine(RuleBasedStateMachine):
    """Arrivals, departures, run ends, failures and a stop; every caller's end is checked."""

    policy = BatchPolicy(workers=2, layout=BatchLayout((2, 4), (1,), (1, 2, 3)), max_batch=3)

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.model = RowModel()
        policy = self.policy
        curve = LatencyCurve((1,), (1e-6,))
        self.line = MicroBatcher(
            self.model,  # type: ignore[arg-type]
            policy=policy,
            predictor=LatencyPredictor(curve),
            catalog_predictor=LatencyPredictor(curve),
            max_waiting=MAX_WAITING,
            stop_timeout_s=0.0,
        )
        self.workers = SteppedWorkers()
        self.line._workers = self.workers
        self.callers = {}
        self.next_row = 1
        self.stopped = False
        self.step(self.line.__aenter__())

    def step(self, coroutine=None):
        async def run():
            if coroutine is not None:
                await coroutine
            for _ in range(3):
                await asyncio.sleep(0)

        self.loop.run_until_complete(run())

    @rule(count=st.integers(1, 4))
    def arrive(self, count):
        rows = np.arange(self.next_row, self.next_row + count)
        self.next_row += count
        score = self.line.score(EMPTY_HISTORY, rows, objective_weights_O=None, deadline_s=time.monotonic() + 60)
        self.callers[self.loop.create_task(score)] = rows
        self.step()

    @precondition(lambda self: self.callers)
    @rule(pick=st.integers(0, 1 << 20))
    def leave(self, pick):
        task = list(self.callers)[pick % len(self.callers)]
        done = task.done()
        task.cancel()
        self.step()
        assert done or task.cancelled()

    @precondition(lambda self: self.workers.tasks)
    @rule(pick=st.integers(0, 1 << 20), mode=st.sampled_from(["well", "well", "raise", "drop"]))
    def a_run_ends(self, pick, mode):
        run, report = self.workers.tasks.pop(pick % len(self.workers.tasks))
        self.model.mode = mode
        waiting_elsewhere = [task for task in self.callers if not task.done()]
        try:
            result, error = run(), None
        except Exception as caught:  # noqa: BLE001 -- as the threads do
            result, error = None, caught
        members = len(self.line._running[report.args[0]])
        report(result, error, 1e-6)
        self.step()
        ended = [task for task in waiting_elsewhere if task.done()]
        assert len(ended) <= members
        if mode == "well":
            assert all(task.cancelled() or task.exception() is None for task in ended)

    @precondition(lambda self: not self.stopped)
    @rule()
    def stop(self):
        self.stopped = True
        self.step(self.line.__aexit__(None, None, None))
        assert all(task.done() for task in self.callers)

    @invariant()
    def every_end_is_one_of_the_promised(self):
        for task, rows in self.callers.items():
            if not task.done() or task.cancelled():
                continue
            error = task.exception()
            if error is None:
                assert task.result().tolist() == rows.tolist()
            else:
                assert isinstance(error, Overloaded | ScoringFailed | ShuttingDown | BudgetExceeded)

    @invariant()
    def nothing_waits_while_a_worker_is_idle(self):
        assert self.line.waiting <= MAX_WAITING
        if self.line._idle_workers and not self.stopped:
            assert not any(not job.future.done() for job in self.line._line)

    def teardown(self):
        if not self.stopped:
            self.stop()
        # also the last stop's errors are looked at: a task whose error nobody saw is logged when it is collected, and
        # Python 3.11's parser fails where a traceback is rendered in its midst (CPython issue 106905)
        self.every_end_is_one_of_the_promised()
        self.loop.close()


class RaggedBatcherMachine(BatcherMachine):
    """The same where requests of any length share runs."""

    policy = BatchPolicy(
        workers=2, layout=BatchLayout(batch_buckets=(1, 2, 3), pads_to_longest=True), max_batch=3, run_events=9.0
    )


TestBatcherPromise = BatcherMachine.TestCase
TestRaggedBatcherPromise = RaggedBatcherMachine.TestCase
for case in (TestBatcherPromise, TestRaggedBatcherPromise):
    case.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
