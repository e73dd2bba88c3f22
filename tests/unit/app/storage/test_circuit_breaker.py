"""The circuit breaker, with a clock of our own."""

from __future__ import annotations

import pytest

from app.errors import StorageUnavailable
from app.storage.circuit_breaker import CircuitBreaker, CircuitState


class Clock:
    """Seconds that move when told."""

    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        """Return the time."""
        return self.now_s


@pytest.fixture
def clock():
    """Return a clock at 0."""
    return Clock()


@pytest.fixture
def breaker(clock):
    """Return a breaker that opens after three failures and pauses for exactly 1 s, then 2 s, then 4 s."""
    return CircuitBreaker(failures_to_open=3, first_pause_s=1.0, longest_pause_s=4.0, clock=clock, draw=lambda: 1.0)


def opened(breaker):
    """Open it."""
    for _ in range(3):
        breaker.failed()
    return breaker


def test_failures_in_a_row_open_it(breaker):
    """The third failure in a row opens the circuit, and calls are refused at once."""
    breaker.failed()
    breaker.failed()
    breaker.require_closed()
    breaker.failed()
    assert breaker.state is CircuitState.OPEN
    assert breaker.times_opened == 1
    with pytest.raises(StorageUnavailable, match="circuit is open"):
        breaker.require_closed()


def test_a_success_in_between_starts_the_count_anew(breaker):
    """Two failures, a success and two failures leave it closed."""
    for outcome in (breaker.failed, breaker.failed, breaker.succeeded, breaker.failed, breaker.failed):
        outcome()
    assert breaker.state is CircuitState.CLOSED


def test_no_probe_before_the_pause_is_over(breaker, clock):
    """A probe may start when the pause has passed, not earlier."""
    opened(breaker)
    clock.now_s = 0.99
    assert not breaker.begin_probe()
    assert breaker.seconds_to_probe() == pytest.approx(0.01)
    clock.now_s = 1.0
    assert breaker.begin_probe()
    assert breaker.state is CircuitState.HALF_OPEN


def test_one_probe_at_a_time_and_no_calls_meanwhile(breaker, clock):
    """While a probe is under way, neither another probe nor a call passes."""
    opened(breaker)
    clock.now_s = 1.0
    assert breaker.begin_probe()
    assert not breaker.begin_probe()
    assert breaker.seconds_to_probe() is None
    with pytest.raises(StorageUnavailable):
        breaker.require_closed()


def test_a_good_probe_closes_it(breaker, clock):
    """After a probe's success calls pass, and three new failures are needed to open it."""
    opened(breaker)
    clock.now_s = 1.0
    breaker.begin_probe()
    breaker.end_probe(well=True)
    breaker.require_closed()
    breaker.failed()
    breaker.failed()
    assert breaker.state is CircuitState.CLOSED


def test_bad_probes_double_the_pause_up_to_the_longest(breaker, clock):
    """The pauses are 1, 2, 4 and 4 seconds; after a recovery they start at 1 again."""
    opened(breaker)
    pauses = []
    for _ in range(4):
        pauses.append(breaker.seconds_to_probe())
        clock.now_s += breaker.seconds_to_probe()
        assert breaker.begin_probe()
        breaker.end_probe(well=False)
    assert pauses == [1.0, 2.0, 4.0, 4.0]
    clock.now_s += 4.0
    breaker.begin_probe()
    breaker.end_probe(well=True)
    assert opened(breaker).seconds_to_probe() == 1.0
    assert breaker.times_opened == 2


def test_the_pause_is_drawn_between_half_and_all(clock):
    """Replicas that failed together do not probe together."""
    for drawn, pause_s in ((0.0, 0.5), (0.5, 0.75), (1.0, 1.0)):
        breaker = CircuitBreaker(failures_to_open=1, first_pause_s=1.0, clock=clock, draw=lambda drawn=drawn: drawn)
        breaker.failed()
        assert breaker.seconds_to_probe() == pause_s


def test_late_outcomes_do_not_move_an_open_circuit(breaker):
    """Calls from before that end now neither close the circuit nor open it twice."""
    opened(breaker)
    breaker.succeeded()
    breaker.failed()
    breaker.end_probe(well=True)
    assert breaker.state is CircuitState.OPEN
    assert breaker.times_opened == 1


def test_an_outage_is_said_once_with_its_reason_and_its_end(breaker, clock, caplog):
    """One line when it begins, however many calls and probes fail, and one when it is over."""
    for _ in range(3):
        breaker.failed("nothing listens at its address")
    for well in (False, False, True):
        clock.now_s += 4.0
        assert breaker.begin_probe()
        breaker.end_probe(well=well)
    assert [record.getMessage() for record in caplog.records] == [
        "lists are ranked without history until Redis answers: nothing listens at its address",
        "Redis answers again: histories are read",
    ]


def test_a_store_that_comes_and_goes_does_not_fill_the_log(breaker, clock, caplog):
    """Eight outages in eight seconds are one line and its end; one that then lasts is said when ten are over."""
    for _ in range(8):
        opened(breaker)
        clock.now_s += 1.0
        breaker.begin_probe()
        breaker.end_probe(well=True)
    assert len(caplog.records) == 2
    opened(breaker)
    while clock.now_s < 20.0:
        clock.now_s += 4.0
        breaker.begin_probe()
        breaker.end_probe(well=False)
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING", "ERROR"]
