"""The line in front of the model."""

from __future__ import annotations

import asyncio
import contextlib
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, Self

from app.contract.encoding import pack_histories
from app.errors import BudgetExceeded, Overloaded, ScoringFailed, ShuttingDown
from app.inference.batch_layout import Question
from app.inference.waiting_job import Job
from app.inference.waiting_line import WaitingLine
from app.inference.worker_threads import WorkerThreads

if TYPE_CHECKING:
    from app.contract.encoding import EncodedHistory
    from app.contract.tensors import Float32Array, HistoryBatch, Int64Array, RankingBatch
    from app.inference.batch_policy import BatchPolicy
    from app.inference.latency_predictor import LatencyPredictor


class RankingModel(Protocol):
    """What runs; `app.inference.onnx_ranker.OnnxRanker` satisfies it."""

    def score(self, batch: RankingBatch) -> Float32Array:
        """Return ``float32[B, C]``."""

    def score_catalog(self, history: HistoryBatch) -> Float32Array:
        """Return ``float32[B, rows]``."""


class MicroBatcher:
    """Puts requests in line, runs them in batches, and gives each caller its own scores.

    Promise: every accepted request ends in exactly one of: its scores, `ScoringFailed`, `BudgetExceeded`,
    `ShuttingDown`, or its own cancellation. One request's end never touches another's: a model error reaches the
    requests of that run and no others. Whoever left or is out of time is skipped before the run. A full line refuses at
    once. Nothing waits while a worker is idle, but for those who arrive in the same turn of the event loop: they share
    runs where the policy has them share.

    All state belongs to the event loop; the threads only run the model.
    """

    def __init__(
        self,
        model: RankingModel,
        *,
        policy: BatchPolicy,
        predictor: LatencyPredictor,
        catalog_predictor: LatencyPredictor,
        max_waiting: int,
        stop_timeout_s: float = 5.0,
    ) -> None:
        """Take the parts; the line opens with ``async with``.

        Args:
            model: What scores.
            policy: How requests become runs.
            predictor: Learns how long ranking runs take, by candidates.
            catalog_predictor: The same of whole-catalogue runs, by rows (one point is enough).
            max_waiting: How many requests may wait; more are refused.
            stop_timeout_s: How long closing waits for the runs under way.
        """
        self._model = model
        self.policy = policy
        self._predictor = predictor
        self._catalog_predictor = catalog_predictor
        self._max_waiting = max_waiting
        self._stop_timeout_s = stop_timeout_s
        self._line = WaitingLine(policy)
        self._is_dispatch_due = False
        self._loop: asyncio.AbstractEventLoop
        self._running: dict[int, list[Job]] = {}
        self._runs = 0
        self._idle_workers = policy.workers
        self._is_open = False
        self._workers = WorkerThreads(policy.workers, name="ranker")
        self._none_running = asyncio.Event()
        self._none_running.set()

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._workers.start(self._loop)
        self._is_open = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_open = False
        for job in self._line.leave():
            job.fail(ShuttingDown("the service is stopping and scores nothing any more"))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._stop_timeout_s):
                await self._none_running.wait()
        for jobs in self._running.values():
            for job in jobs:
                job.fail(ShuttingDown("the service stopped before the model had answered"))
        self._workers.close()

    @property
    def waiting(self) -> int:
        """How many requests are in line, those included that have left it without being noticed yet."""
        return len(self._line)

    @property
    def running(self) -> int:
        """How many runs are under way."""
        return len(self._running)

    def trouble(self, *, stuck_after_s: float) -> str | None:
        """Return why the line does not move, or None; for liveness."""
        return self._workers.trouble(stuck_after_s=stuck_after_s)

    def expected_wait_s(self) -> float:
        """Return how long a request that joins now would wait for a worker."""
        if self._idle_workers and not self._line:
            return 0.0
        # on average a run under way is half done
        running_s = sum(self._expected_s(jobs) for jobs in self._running.values()) / 2.0
        together = min(len(self._line), self.policy.max_batch) or 1
        shared = self.policy.growth.seconds_of(together) / together
        return (self._line.expected_s * shared + running_s) / self.policy.workers

    def refuse_if_full(self) -> None:
        """Raise `Overloaded` if a request that joins now would be refused; costs next to nothing."""
        if len(self._line) < self._max_waiting:
            return
        self._line.sweep()
        if len(self._line) >= self._max_waiting:
            raise Overloaded(
                f"{len(self._line)} requests are waiting for the model, expected fewer than {self._max_waiting}",
                retry_after_s=self.expected_wait_s(),
            )

    def affordable(self, candidates: int, *, deadline_s: float) -> int:
        """Return how many of ``candidates`` can be scored by the deadline.

        With nothing under way the benefit of the doubt is the warm-up's curve, so that a predictor that was scared by
        a pause of the machine gets to see that it is over.
        """
        left_s = deadline_s - time.monotonic() - self.expected_wait_s()
        if self._quiet and left_s >= self._predictor.curve.seconds_of(candidates):
            return candidates
        return min(candidates, self._predictor.affordable(left_s)) if left_s > 0 else 0

    async def score(
        self,
        history: EncodedHistory,
        candidate_rows_C: Int64Array,
        *,
        objective_weights_O: Float32Array | None,
        deadline_s: float,
        alone: bool = False,
    ) -> Float32Array:
        """Return ``float32[C]``. See `app.ranking.ports.Scorer`."""
        question = Question(history, candidate_rows_C, objective_weights_O)
        size = self.policy.layout.size_of(question)
        expected_s = self._predictor.predict_s(size[1])
        # who is alone need not look for company
        on_loop = (
            expected_s < self.policy.inline_below_s
            if alone
            else self.policy.max_batch == 1 and self.policy.runs_on_loop(expected_s)
        )
        if on_loop and self._quiet and self._is_open:
            return self._score_inline(question, size[1])
        shape = self.policy.layout.shape_of(question)
        return await self._join(Job(question, shape, size, deadline_s, expected_s, _new_future()))

    async def score_catalog(self, history: EncodedHistory, *, deadline_s: float) -> Float32Array:
        """Return ``float32[rows]``. See `app.ranking.ports.Scorer`."""
        expected_s = self._catalog_predictor.predict_s(1)
        return await self._join(Job(history, None, (1, 1), deadline_s, expected_s, _new_future()))

    @property
    def _quiet(self) -> bool:
        return not self._running and not self._line

    async def _join(self, job: Job) -> Float32Array:
        if not self._is_open:
            raise ShuttingDown("the service is stopping and scores nothing any more")
        self.refuse_if_full()
        left_s = job.deadline_s - time.monotonic()
        if left_s <= 0 or (not self._quiet and self.expected_wait_s() + job.expected_s > left_s):
            raise BudgetExceeded(f"a run of {job.expected_s * 1000:.1f} ms would not end in time")
        self._line.join(job)
        self._dispatch_soon()
        timer = asyncio.get_running_loop().call_later(left_s, job.expire)
        try:
            return await job.future
        finally:
            timer.cancel()

    def _score_inline(self, question: Question, cells: int) -> Float32Array:
        """Score on the event loop: for a short run the way to a thread and back costs more than it gives."""
        started_s = time.monotonic()
        try:
            scores_C = self._score_questions([question])[0]
        except Exception as error:
            raise _as_scoring_failed(error) from error
        self._predictor.observe(cells, time.monotonic() - started_s)
        return scores_C

    def _dispatch_soon(self) -> None:
        """Hand runs out when everyone has joined who is ready to in this turn of the event loop."""
        if not self._is_dispatch_due:
            self._is_dispatch_due = True
            self._loop.call_soon(self._dispatch)

    def _dispatch(self) -> None:
        """Hand runs to idle workers until either runs out; short ones are done here, one a turn."""
        self._is_dispatch_due = False
        while self._is_open and self._idle_workers and (jobs := self._line.take(may_hope=not self._running)):
            self._idle_workers -= 1
            self._runs += 1
            self._running[self._runs] = jobs
            self._none_running.clear()
            if jobs[0].shape is not None and self.policy.runs_on_loop(self._expected_s(jobs)):
                self._run_here(jobs, self._runs)
                return
            self._workers.submit((partial(self._run, jobs), partial(self._finish, self._runs)))

    def _run_here(self, jobs: list[Job], run: int) -> None:
        """Score one run on the event loop."""
        result, error, started_s = None, None, time.monotonic()
        try:
            result = self._run(jobs)
        except Exception as caught:  # noqa: BLE001 -- whatever it is, its callers must hear of it
            error = caught
        self._finish(run, result, error, time.monotonic() - started_s)

    def _expected_s(self, jobs: list[Job]) -> float:
        """Return how long a run is expected to take."""
        return max([job.expected_s for job in jobs]) * self.policy.growth.seconds_of(len(jobs))

    def _run(self, jobs: list[Job]) -> list[Float32Array]:
        """Score one run; on a worker thread."""
        first = jobs[0].question
        if not isinstance(first, Question):
            scores_BR = self._model.score_catalog(pack_histories([first]))
            if len(scores_BR) != 1:
                raise ScoringFailed(f"the model answered for {len(scores_BR)} requests, expected 1")
            return [scores_BR[0]]
        return self._score_questions([job.question for job in jobs if isinstance(job.question, Question)])

    def _score_questions(self, questions: list[Question]) -> list[Float32Array]:
        layout = self.policy.layout
        return layout.unpack(self._model.score(layout.pack(questions)), questions)

    def _finish(self, run: int, result: Any, error: BaseException | None, seconds: float) -> None:
        """Give every caller of one run its scores or its error; on the event loop."""
        jobs = self._running.pop(run)
        self._idle_workers += 1
        if error is None:
            predictor = self._predictor if jobs[0].shape is not None else self._catalog_predictor
            predictor.observe(max([job.size[1] for job in jobs]), seconds / self.policy.growth.seconds_of(len(jobs)))
            for job, scores_C in zip(jobs, result, strict=True):
                job.resolve(scores_C)
        else:
            for job in jobs:
                job.fail(_as_scoring_failed(error))
        if not self._running:
            self._none_running.set()
        if self._line:
            self._dispatch_soon()


def _new_future() -> asyncio.Future[Float32Array]:
    return asyncio.get_running_loop().create_future()


def _as_scoring_failed(error: BaseException) -> ScoringFailed:
    """Return an error of its own for one caller: a shared one would collect the tracebacks of all."""
    named = isinstance(error, ScoringFailed)
    failure = ScoringFailed(str(error) if named else f"the model failed: {type(error).__name__}: {str(error)[:200]}")
    failure.__cause__ = error
    return failure
