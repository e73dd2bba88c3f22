"""The line keeps each clause of its promise."""

# ruff: noqa: D102 -- named for what they do

from __future__ import annotations

import asyncio
import threading
import time

import numpy as np
import pytest

from app.contract.encoding import EMPTY_HISTORY, EncodedHistory
from app.errors import BudgetExceeded, Overloaded, ScoringFailed, ShuttingDown
from app.inference.batch_layout import BatchLayout
from app.inference.batch_policy import BatchPolicy
from app.inference.latency_predictor import LatencyCurve, LatencyPredictor
from app.inference.micro_batcher import MicroBatcher

FAR_S = 30.0
BATCHED = BatchPolicy(workers=1, layout=BatchLayout((4,), (2,), (1, 2, 4)), max_batch=4)
SIDE_BY_SIDE = BatchPolicy(workers=2)


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


@pytest.mark.parametrize("policy", [BATCHED, SIDE_BY_SIDE], ids=["batched", "side by side"])
async def test_every_caller_gets_its_own_scores(policy):
    """Of many callers that share runs, each gets the scores of its own candidates in its own order."""
    async with batcher(SlowModel(), policy, max_waiting=100) as line:
        tasks = [ask(line, n, n + 1, *range(n % 2)) for n in range(1, 60)]
        for n, scores in enumerate(await asyncio.gather(*tasks), 1):
            assert scores.tolist() == [n, n + 1, *range(n % 2)]


async def test_requests_that_queue_while_the_model_is_busy_share_a_run():
    """What has queued up behind a run goes into the next one together."""
    model = SlowModel(closed=True)
    async with batcher(model) as line:
        first = await with_one_under_way(line, model)
        others = [ask(line, n) for n in (2, 3, 4)]
        await until(lambda: line.waiting == 3)
        model.gate.set()
        await asyncio.gather(first, *others)
    assert [len(rows) for rows in model.batches] == [1, 4]
    assert model.batches[1][:, 0].tolist() == [2, 3, 4, 0]


async def test_a_caller_who_leaves_the_line_is_not_scored():
    """A caller that is cancelled while it waits costs the model nothing, and its neighbours get their own scores."""
    model = SlowModel(closed=True)
    async with batcher(model) as line:
        first = await with_one_under_way(line, model)
        leaver, stayer = ask(line, 7), ask(line, 8)
        await until(lambda: line.waiting == 2)
        leaver.cancel()
        await asyncio.sleep(0)
        model.gate.set()
        assert (await first).tolist() == [1]
        assert (await stayer).tolist() == [8]
    assert leaver.cancelled()
    assert 7 not in np.concatenate([rows.ravel() for rows in model.batches])


async def test_a_caller_who_leaves_before_joining_leaves_no_trace():
    """A caller that is cancelled before its first step is never in the line."""
    model = SlowModel()
    async with batcher(model) as line:
        leaver = ask(line, 7)
        leaver.cancel()
        await asyncio.wait([leaver])
        assert (line.waiting, line.running) == (0, 0)
    assert model.batches == []


async def test_a_caller_who_leaves_during_its_run_hurts_nobody():
    """A caller that is cancelled while it is scored does not disturb those who share its run."""
    model = SlowModel(closed=True)
    async with batcher(model) as line:
        first = await with_one_under_way(line, model)
        leaver, stayer = ask(line, 7), ask(line, 8)
        await until(lambda: line.waiting == 2)
        model.gate.set()
        await first
        model.gate.clear()
        third, fourth = ask(line, 9), ask(line, 10)
        await until(lambda: len(model.batches) >= 2)
        third.cancel()
        model.gate.set()
        assert (await fourth).tolist() == [10]
        assert ((await leaver).tolist(), (await stayer).tolist()) == ([7], [8])


async def test_a_model_error_reaches_its_run_and_no_other():
    """When the model raises, every caller of that run hears of it, and the next run works."""
    model = SlowModel(closed=True)
    async with batcher(model) as line:
        first = await with_one_under_way(line, model)
        doomed = [ask(line, 2), ask(line, 3)]
        await until(lambda: line.waiting == 2)
        model.gate.set()
        await first
        model.error = RuntimeError("the GPU is on fire")
        failures = await asyncio.gather(*doomed, return_exceptions=True)
        if not all(isinstance(failure, ScoringFailed) for failure in failures):
            # the run began before the error was planted: the next one meets it
            failures = await asyncio.gather(ask(line, 4), return_exceptions=True)
        assert all(isinstance(failure, ScoringFailed) for failure in failures)
        assert (await ask(line, 5)).tolist() == [5]


async def test_a_dropped_row_is_an_error_and_never_a_shift():
    """A model that answers for fewer requests than it was given fails that run; nobody gets a neighbour's scores."""
    model = SlowModel(closed=True)
    model.lose_rows = 1
    async with batcher(model) as line:
        first = await with_one_under_way(line, model)
        others = [ask(line, n) for n in (2, 3)]
        await until(lambda: line.waiting == 2)
        model.gate.set()
        results = await asyncio.gather(first, *others, return_exceptions=True)
    assert [type(result) for result in results] == [ScoringFailed] * 3


async def test_a_full_line_refuses_at_once():
    """When the line is full the next caller is refused with an estimate, and those in line are not touched."""
    model = SlowModel(closed=True)
    async with batcher(model, max_waiting=2, curve_s=0.5) as line:
        first = await with_one_under_way(line, model)
        others = [ask(line, 2), ask(line, 3)]
        await until(lambda: line.waiting == 2)
        with pytest.raises(Overloaded) as refused:
            await ask(line, 4)
        assert refused.value.retry_after_s == pytest.approx(2.5 * 4 * 0.5 * 1.3)  # two and a half runs of four cells
        model.gate.set()
        assert [scores.tolist() for scores in await asyncio.gather(first, *others)] == [[1], [2], [3]]


async def test_places_of_callers_who_left_are_free_again():
    """A line that is full of callers who left takes a new one."""
    model = SlowModel(closed=True)
    async with batcher(model, max_waiting=2) as line:
        first = await with_one_under_way(line, model)
        leavers = [ask(line, 2), ask(line, 3)]
        await until(lambda: line.waiting == 2)
        for leaver in leavers:
            leaver.cancel()
        await asyncio.sleep(0)
        stayer = ask(line, 4)
        await asyncio.sleep(0)
        model.gate.set()
        assert (await stayer).tolist() == [4]
        await first


async def test_stopping_answers_everyone():
    """Closing the line answers those who wait with `ShuttingDown`, and those under way with their scores."""
    model = SlowModel(closed=True)
    line = batcher(model)
    async with line:
        first = await with_one_under_way(line, model)
        others = [ask(line, 2), ask(line, 3)]
        await until(lambda: line.waiting == 2)
        asyncio.get_running_loop().call_later(0.05, model.gate.set)
    assert (await first).tolist() == [1]
    assert [type(result) for result in await asyncio.gather(*others, return_exceptions=True)] == [ShuttingDown] * 2
    with pytest.raises(ShuttingDown):
        await ask(line, 4)


async def test_stopping_does_not_wait_for_ever():
    """A run that does not end is given up, and its callers are told."""
    model = SlowModel(closed=True)
    async with batcher(model) as line:
        first = await with_one_under_way(line, model)
    with pytest.raises(ShuttingDown):
        await first
    model.gate.set()


async def test_a_deadline_ends_the_wait_during_a_run():
    """A caller whose time is up during its run is told so then, not when the run ends."""
    model = SlowModel(closed=True)
    async with batcher(model) as line:
        late = ask(line, 1, within_s=0.02)
        with pytest.raises(BudgetExceeded):
            await late
        assert line.running == 1
        model.gate.set()


async def test_what_cannot_finish_is_refused_before_it_runs():
    """A request whose deadline lies before the expected end of those ahead never reaches the model."""
    model = SlowModel(closed=True)
    async with batcher(model, curve_s=1.0) as line:
        first = await with_one_under_way(line, model)
        with pytest.raises(BudgetExceeded):
            await ask(line, 2, within_s=0.5)
        assert line.waiting == 0
        assert line.affordable(10, deadline_s=time.monotonic() + 0.5) == 0
        model.gate.set()
        await first
    assert len(model.batches) == 1


async def test_an_idle_line_gives_the_benefit_of_the_doubt():
    """A predictor that was scared by a pause does not keep an idle model from being tried."""
    model = SlowModel()
    async with batcher(model, curve_s=0.001) as line:
        line._predictor.scale = 1e6
        assert line.affordable(1, deadline_s=time.monotonic() + 1) == 1
        assert (await ask(line, 1, within_s=1)).tolist() == [1]
        assert line._predictor.scale < 1e6


async def test_short_runs_on_one_core_stay_on_the_event_loop():
    """With an inline policy a short run is made by the calling thread when nothing else is under way."""
    threads = []

    class Watching(SlowModel):
        def score(self, batch):
            threads.append(threading.current_thread())
            return super().score(batch)

    async with batcher(Watching(), BatchPolicy(workers=1, inline_below_s=0.01)) as line:
        assert (await ask(line, 3)).tolist() == [3]
    assert threads == [threading.main_thread()]


@pytest.mark.parametrize(("alone", "inline"), [(True, True), (False, False)])
async def test_with_several_workers_only_a_lone_request_stays_on_the_event_loop(alone, inline):
    """Where other requests are being ranked the loop is free for them, and the run goes to a thread."""
    threads = []

    class Watching(SlowModel):
        def score(self, batch):
            threads.append(threading.current_thread())
            return super().score(batch)

    async with batcher(Watching(), BatchPolicy(workers=2, inline_below_s=0.01)) as line:
        await line.score(
            EMPTY_HISTORY, np.array([1]), objective_weights_O=None, deadline_s=time.monotonic() + FAR_S, alone=alone
        )
    assert (threads == [threading.main_thread()]) is inline


async def test_a_stuck_worker_is_noticed():
    """A run that takes longer than it may is named as trouble, and no trouble remains when it ends."""
    model = SlowModel(closed=True)
    async with batcher(model) as line:
        assert line.trouble(stuck_after_s=0.01) is None
        first = await with_one_under_way(line, model)
        await until(lambda: line.trouble(stuck_after_s=0.01) is not None)
        model.gate.set()
        await first
        assert line.trouble(stuck_after_s=0.01) is None


async def test_a_dead_worker_is_noticed():
    """A worker thread that has ended while the line is open is named as trouble."""
    async with batcher(SlowModel()) as line:
        line._workers._tasks.put(None)
        await until(lambda: line.trouble(stuck_after_s=10) is not None)
        assert "died" in (line.trouble(stuck_after_s=10) or "")


async def test_the_whole_catalogue_goes_through_the_same_line():
    """A whole-catalogue request gets one score a row."""
    async with batcher(SlowModel()) as line:
        scores = await line.score_catalog(EMPTY_HISTORY, deadline_s=time.monotonic() + 1)
    assert scores.tolist() == [0, 1, 2, 3, 4]


async def test_only_requests_of_one_shape_share_a_run():
    """A request with longer candidates waits for a run of its own, and its neighbours do not wait for it."""
    model = SlowModel(closed=True)
    policy = BatchPolicy(workers=1, layout=BatchLayout((2, 8), (4,), (1, 2, 4)), max_batch=4)
    history = EncodedHistory(np.array([1, 2]), np.array([0, 0]), np.array([5.0, 1.0], np.float32))
    async with batcher(model, policy) as line:
        first = await with_one_under_way(line, model)
        tasks = [ask(line, 2), ask(line, 3, 4, 5, history=history), ask(line, 6)]
        await until(lambda: line.waiting == 3)
        model.gate.set()
        await asyncio.gather(first, *tasks)
    assert [rows.shape for rows in model.batches] == [(1, 2), (2, 2), (1, 8)]
