"""The task that probes an ill Redis."""

from __future__ import annotations

import asyncio

from app.errors import StorageUnavailable
from app.storage.circuit_breaker import CircuitBreaker, CircuitState
from app.storage.recovery_probe import RecoveryProbe


class Patient:
    """A Redis that is ill until it is told to be well."""

    def __init__(self):
        self.well = False
        self.pings = 0
        self.under_way = 0
        self.most_under_way = 0

    async def ping(self):
        """Answer, or be ill."""
        self.pings += 1
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await asyncio.sleep(0.002)
        self.under_way -= 1
        if not self.well:
            raise StorageUnavailable("ill")


def an_open_breaker():
    """Return a breaker that is open and pauses for some milliseconds."""
    breaker = CircuitBreaker(failures_to_open=1, first_pause_s=0.004, longest_pause_s=0.01)
    breaker.failed()
    return breaker


async def test_it_closes_the_circuit_when_redis_is_well_again():
    """It pings one at a time until a ping succeeds, then the circuit is closed and the pings stop."""
    breaker, patient = an_open_breaker(), Patient()
    async with RecoveryProbe(breaker, patient.ping) as probe:
        assert probe.alive
        async with asyncio.timeout(5):
            while patient.pings < 3:  # noqa: ASYNC110 -- the probe's own task
                await asyncio.sleep(0.001)
        assert breaker.state is not CircuitState.CLOSED
        patient.well = True
        async with asyncio.timeout(5):
            while breaker.state is not CircuitState.CLOSED:  # noqa: ASYNC110 -- the probe's own task
                await asyncio.sleep(0.001)
        pings = patient.pings
        await asyncio.sleep(0.03)
    assert patient.pings == pings
    assert patient.most_under_way == 1


async def test_it_leaves_a_closed_circuit_alone():
    """Nobody is pinged while all is well."""
    patient = Patient()
    async with RecoveryProbe(CircuitBreaker(), patient.ping, check_every_s=0.001):
        await asyncio.sleep(0.02)
    assert patient.pings == 0


async def test_leaving_the_context_ends_the_task():
    """After the context the task is gone, also in the middle of a ping."""
    breaker = an_open_breaker()

    async def never():
        await asyncio.sleep(60)

    async with RecoveryProbe(breaker, never, check_every_s=0.001) as probe:
        async with asyncio.timeout(5):
            while breaker.state is not CircuitState.HALF_OPEN:  # noqa: ASYNC110 -- the probe's own task
                await asyncio.sleep(0.001)
    assert not probe.alive
    assert breaker.state is CircuitState.OPEN


async def test_a_ping_that_breaks_otherwise_does_not_end_the_watch():
    """An error that nobody foresaw counts as ill; the task goes on and closes the circuit when pings succeed."""
    breaker, pings = an_open_breaker(), []

    async def broken_twice():
        pings.append(len(pings))
        if len(pings) < 3:
            raise ZeroDivisionError

    async with RecoveryProbe(breaker, broken_twice, check_every_s=0.001) as probe:
        async with asyncio.timeout(5):
            while breaker.state is not CircuitState.CLOSED:  # noqa: ASYNC110 -- the probe's own task
                await asyncio.sleep(0.001)
        assert probe.alive
    assert len(pings) == 3
