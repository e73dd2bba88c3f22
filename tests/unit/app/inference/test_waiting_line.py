"""Who is scored next, and how long the line is expected to take."""

from __future__ import annotations

import asyncio
import time

import numpy as np

from app.contract.encoding import EMPTY_HISTORY
from app.inference.batch_layout import Question
from app.inference.batch_policy import BatchPolicy
from app.inference.waiting_job import Job
from app.inference.waiting_line import WaitingLine

PAIRS = BatchPolicy(max_batch=2)


def job(width, *, expected_s=1.0, within_s=60.0):
    """Return a request that may share a run with others of its width."""
    return Job(
        question=Question(EMPTY_HISTORY, np.arange(1, width + 1)),
        shape=(1, width, False),
        size=(1, width),
        deadline_s=time.monotonic() + within_s,
        expected_s=expected_s,
        future=asyncio.get_running_loop().create_future(),
    )


def line_of(*jobs, policy=PAIRS):
    line = WaitingLine(policy)
    for one in jobs:
        line.join(one)
    return line


async def test_who_was_passed_over_keeps_the_place():
    """The second of the first's width overtakes those between, who stay in their order and come next."""
    first, second, third, alike = job(5), job(6), job(7), job(5)
    line = line_of(first, second, third, alike)
    assert line.take(may_hope=False) == [first, alike]
    assert list(line) == [second, third]
    assert line.take(may_hope=False) == [second]


async def test_the_whole_catalogue_is_scored_alone():
    """Requests without a shape of their own share no run, not even with each other."""
    everything, again = job(5), job(5)
    everything.shape = again.shape = None
    line = line_of(everything, again)
    assert line.take(may_hope=False) == [everything]
    assert line.take(may_hope=False) == [again]


async def test_the_expected_time_is_that_of_those_in_line():
    """Whoever is taken, passed over, too late or gone, it is the sum over those that are left."""
    late, gone = job(5, within_s=0.5), job(5)
    gone.future.cancel()
    line = line_of(late, gone, job(5), job(6, expected_s=2.0), job(5), job(7, expected_s=4.0))
    line.take(may_hope=False)
    assert line.expected_s == sum(one.expected_s for one in line) == 6.0
    assert late.future.exception() is not None
    line.take(may_hope=False)
    assert line.expected_s == sum(one.expected_s for one in line) == 4.0
    line.take(may_hope=False)
    assert (len(line), line.expected_s) == (0, 0.0)
