"""New connections are taken in bursts, and the listening socket is let go."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from app.acceptor import Acceptor


class Counter(asyncio.Protocol):
    """Counts connections."""

    made = 0

    def connection_made(self, transport):
        """Count, and keep the transport open."""
        type(self).made += 1
        self.transport = transport


@pytest.fixture
def listening():
    """Return a listening socket of the loopback address."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        bound.listen(64)
        yield bound


async def turns(count):
    """Let the event loop turn."""
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize(("is_shared", "taken"), [(False, 20), (True, 1)])
async def test_a_burst_is_taken_in_one_turn_unless_there_are_others(listening, is_shared, taken):
    """The first look takes every waiting connection; one of several workers takes one and leaves the rest."""
    Counter.made = 0
    callers = [socket.create_connection(listening.getsockname()) for _ in range(20)]
    acceptor = Acceptor(listening, Counter, is_shared=is_shared)
    acceptor._accept()
    acceptor.close()
    await acceptor.wait_closed()
    await turns(3)
    assert taken == Counter.made
    for caller in callers:
        caller.close()


async def test_nothing_is_accepted_after_closing(listening):
    """A connection that comes later is left in the kernel's queue."""
    Counter.made = 0
    acceptor = Acceptor(listening, Counter)
    acceptor.close()
    acceptor.close()
    with socket.create_connection(listening.getsockname()):
        await turns(10)
    assert Counter.made == 0


async def test_without_file_descriptors_it_pauses_instead_of_spinning(listening):
    """An error of the system stops accepting for a moment; waiting connections are taken afterwards."""

    class Exhausted:
        """A socket whose first accept fails."""

        failures = 1

        def __getattr__(self, name):
            return getattr(listening, name)

        def accept(self):
            """Fail once."""
            if self.failures:
                self.failures -= 1
                raise OSError(24, "Too many open files")
            return listening.accept()

    Counter.made = 0
    acceptor = Acceptor(Exhausted(), Counter)
    with socket.create_connection(listening.getsockname()):
        await turns(10)
        assert Counter.made == 0
        await asyncio.sleep(0.3)
        assert Counter.made == 1
    acceptor.close()


async def test_file_descriptors_that_stay_short_are_said_once(listening, caplog):
    """An hour without them is one line, and the next hour is another."""

    class Exhausted:
        """A socket whose accept fails for as long as is said."""

        fails = True

        def __getattr__(self, name):
            return getattr(listening, name)

        def accept(self):
            """Fail or accept."""
            if self.fails:
                raise OSError(24, "Too many open files")
            return listening.accept()

    exhausted = Exhausted()
    acceptor = Acceptor(exhausted, Counter)
    for fails in (True, True, False, True, True):
        exhausted.fails = fails
        if fails:
            acceptor._accept()
        else:
            with socket.create_connection(listening.getsockname()):
                acceptor._accept()
    acceptor.close()
    await acceptor.wait_closed()
    assert [record.message for record in caplog.records] == [
        "no connection can be accepted until this is over: [Errno 24] Too many open files"
    ] * 2


async def test_a_worker_that_was_busy_catches_up(listening):
    """After a long turn as many are taken as there were pauses in it, so that nobody waits for seconds."""
    Counter.made = 0
    acceptor = Acceptor(listening, Counter, is_shared=True)
    callers = [socket.create_connection(listening.getsockname()) for _ in range(20)]
    acceptor._accept()
    time.sleep(0.1)  # noqa: ASYNC251 -- a run of the model that holds the loop
    await asyncio.sleep(0.02)
    acceptor.close()
    await acceptor.wait_closed()
    assert Counter.made == 20
    for caller in callers:
        caller.close()
