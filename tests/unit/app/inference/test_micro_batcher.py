"""The line keeps each clause of its promise."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from app.errors import Overloaded, ScoringFailed, ShuttingDown
from app.inference.batch_policy import BatchPolicy
from tests.batcher_house import BATCHED, RAGGED, SIDE_BY_SIDE, SlowModel, ask, batcher, until, with_one_under_way


@pytest.mark.parametrize("policy", [BATCHED, SIDE_BY_SIDE, RAGGED], ids=["batched", "side by side", "ragged"])
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


async def test_requests_of_one_turn_share_a_run_on_an_idle_line():
    """Those who become ready in the same turn of the event loop need not wait for a busy model to share a run."""
    model = SlowModel()
    async with batcher(model, RAGGED) as line:
        answers = await asyncio.gather(ask(line, 1, 2), ask(line, 3), ask(line, 4, 5, 6), ask(line, 7))
    assert [scores.tolist() for scores in answers] == [[1, 2], [3], [4, 5, 6], [7]]
    assert sorted(rows.shape for rows in model.batches) == [(1, 1), (3, 3)]


async def test_an_error_of_a_run_on_the_event_loop_reaches_that_run_only():
    """Where short runs are made on the event loop, a failed one fails its own callers and the next one works."""
    policy = BatchPolicy(workers=1, layout=BATCHED.layout, max_batch=2, inline_below_s=1.0)
    model = SlowModel()
    model.error = RuntimeError("no")
    async with batcher(model, policy) as line:
        results = await asyncio.gather(*[ask(line, n) for n in (1, 2, 3)], return_exceptions=True)
    assert [type(result) for result in results[:2]] == [ScoringFailed] * 2
    assert results[2].tolist() == [3]


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
