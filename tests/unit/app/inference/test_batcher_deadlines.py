"""The line is on time, and tells when it cannot be."""

from __future__ import annotations

import asyncio
import threading
import time

import numpy as np
import pytest

from app.contract.encoding import EMPTY_HISTORY, EncodedHistory
from app.errors import BudgetExceeded
from app.inference.batch_layout import BatchLayout
from app.inference.batch_policy import BatchPolicy
from app.inference.worker_threads import handoff_s
from tests.batcher_house import FAR_S, SlowModel, ask, batcher, until, with_one_under_way


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


async def test_a_run_shorter_than_the_way_to_a_thread_stays_on_the_event_loop():
    """Where the handoff costs more than the run, the run is made at once, whoever else is there."""
    model = SlowModel()
    async with batcher(model, BatchPolicy(workers=2, inline_below_s=0.01, handoff_s=0.005)) as line:
        assert (await ask(line, 3)).tolist() == [3]
        assert line._runs == 0


async def test_the_handoff_can_be_measured():
    """The way to a thread and back takes some time, and well under a second."""
    assert 0 < await handoff_s(rounds=5) < 1


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
