"""What happens to histories when Redis is stalled, slow, cut off, killed, or says no."""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from app.errors import StorageUnavailable
from app.storage.circuit_breaker import CircuitBreaker, CircuitState
from app.storage.recovery_probe import RecoveryProbe
from tests.integration.faulty_proxy import Fault, faulty_proxy
from tests.integration.opened_history import event, opened_history

if TYPE_CHECKING:
    from tests.integration.redis_servers import Server

QUICK = {"connect_timeout_ms": 1000.0, "read_timeout_ms": 50.0, "write_timeout_ms": 1000.0}


async def until(condition, *, limit_s=10.0):
    """Wait until a condition holds."""
    give_up_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < give_up_s
        await asyncio.sleep(0.01)


@asynccontextmanager
async def proxied_history(server: Server):
    """Open a history through a proxy, with one event of ann in it."""
    async with faulty_proxy(server.port) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}/0"
        async with opened_history(url, breaker=CircuitBreaker(failures_to_open=1000), **QUICK) as history:
            await history.append([event(1)])
            assert len(await history.read("ann", timeout_s=1.0)) == 1
            yield proxy, history


async def test_a_stalled_redis_ends_a_read_in_its_own_time(valkey_server):
    """A read of a Redis that accepts and answers nothing fails when its time is up, not later."""
    async with proxied_history(valkey_server) as (proxy, history):
        proxy.fault = Fault.STALL
        started_s = time.monotonic()
        with pytest.raises(StorageUnavailable, match="in time"):
            await history.read("ann", timeout_s=0.05)
        assert time.monotonic() - started_s < 1.0
        proxy.fault = Fault.NONE
        assert len(await history.read("ann", timeout_s=1.0)) == 1


@pytest.mark.parametrize("fault", [Fault.STALL, Fault.CUT])
async def test_an_event_that_was_not_acknowledged_is_an_error(valkey_server, fault):
    """A stalled or cut reply to a write is `StorageUnavailable`; sending the event again counts it once."""
    async with proxied_history(valkey_server) as (proxy, history):
        proxy.fault = fault
        with pytest.raises(StorageUnavailable, match="could not store the events"):
            await history.append([event(2)])
        proxy.fault = Fault.NONE
        await history.append([event(2)])
        assert [shown.event_id for shown in await history.recent_events("ann")] == ["e2", "e1"]


async def test_a_reply_cut_in_the_middle_is_an_error_and_the_next_read_is_right(valkey_server):
    """Half a reply is never taken for a history, and never for the beginning of the next one."""
    async with proxied_history(valkey_server) as (proxy, history):
        proxy.fault = Fault.CUT
        for _ in range(3):
            with pytest.raises(StorageUnavailable):
                await history.read("ann", timeout_s=0.5)
        proxy.fault = Fault.NONE
        assert len(await history.read("ann", timeout_s=1.0)) == 1


async def test_a_slow_redis_never_gives_one_user_anothers_history(valkey_server):
    """Late replies of reads that gave up are dropped, and do not answer the reads after them."""
    async with proxied_history(valkey_server) as (proxy, history):
        await history.append([event(number, user=f"u{number}") for number in range(10)])
        proxy.fault = Fault.SLOW
        for number in range(10):
            with pytest.raises(StorageUnavailable):
                await history.read(f"u{number}", timeout_s=0.03)
        proxy.fault = Fault.NONE
        stored = await asyncio.gather(*(history.read(f"u{number}", timeout_s=2.0) for number in range(10)))
        times = [history.timestamps_ms_E.tolist() for history in stored]
        assert times == [[event(number).timestamp_ms] for number in range(10)]


async def test_a_caller_that_leaves_does_not_shift_replies(valkey_server):
    """Cancelled reads leave their neighbours' replies where they belong, on the same connection."""
    async with proxied_history(valkey_server) as (proxy, history):
        await history.append([event(number, user=f"u{number}") for number in range(20)])
        connections = proxy.connections
        reads = [asyncio.create_task(history.read(f"u{number}", timeout_s=1.0)) for number in range(20)]
        await asyncio.sleep(0)
        for read in reads[::2]:
            read.cancel()
        found = await asyncio.gather(*reads, return_exceptions=True)
        assert all(isinstance(outcome, asyncio.CancelledError) for outcome in found[::2])
        times = [outcome.timestamps_ms_E.tolist() for outcome in found[1::2]]
        assert times == [[event(number).timestamp_ms] for number in range(1, 20, 2)]
        assert proxy.connections == connections


async def test_a_refused_connection_is_a_sentence(own_server):
    """A Redis that is down makes reads and writes `StorageUnavailable`, and start is no failure."""
    own_server.kill()
    async with opened_history(own_server.url, **QUICK) as history:
        with pytest.raises(StorageUnavailable, match="cannot be reached"):
            await history.read("ann", timeout_s=1.0)
        with pytest.raises(StorageUnavailable, match="cannot be reached"):
            await history.append([event(1)])
        with pytest.raises(StorageUnavailable, match="cannot be reached"):
            await history.forget("ann")


async def test_the_circuit_opens_refuses_at_once_and_closes_by_itself(own_server):
    """After failures in a row reads fail without waiting; when Redis is back, the probe closes the circuit."""
    breaker = CircuitBreaker(failures_to_open=3)
    async with (
        opened_history(own_server.url, breaker=breaker, **QUICK) as history,
        RecoveryProbe(breaker, history.ping),
    ):
        await history.append([event(1)])
        assert len(await history.read("ann", timeout_s=1.0)) == 1
        own_server.signal(signal.SIGSTOP)
        for _ in range(3):
            with pytest.raises(StorageUnavailable):
                await history.read("ann", timeout_s=0.05)
        assert breaker.state is not CircuitState.CLOSED
        with pytest.raises(StorageUnavailable, match="circuit"):
            await history.read("ann", timeout_s=0.05)
        own_server.signal(signal.SIGCONT)
        await until(lambda: breaker.state is CircuitState.CLOSED)
        assert len(await history.read("ann", timeout_s=0.5)) == 1


async def test_an_impatient_caller_does_not_open_the_circuit(valkey_server):
    """Reads that gave up because their caller had almost no time left are not held against Redis."""
    async with faulty_proxy(valkey_server.port) as proxy:
        breaker = CircuitBreaker(failures_to_open=3)
        url = f"redis://127.0.0.1:{proxy.port}/0"
        async with opened_history(url, breaker=breaker, **(QUICK | {"read_timeout_ms": 5000.0})) as history:
            assert len(await history.read("ann", timeout_s=1.0)) == 0
            proxy.fault = Fault.SLOW
            for _ in range(6):
                with pytest.raises(StorageUnavailable):
                    await history.read("ann", timeout_s=0.002)
            assert breaker.state is CircuitState.CLOSED


async def test_impatient_callers_find_out_about_a_stalled_redis_together(valkey_server):
    """However short each caller's time, a connection that stays mute past the limit counts as a failure of Redis."""
    async with faulty_proxy(valkey_server.port) as proxy:
        breaker = CircuitBreaker(failures_to_open=2)
        url = f"redis://127.0.0.1:{proxy.port}/0"
        async with opened_history(url, breaker=breaker, **QUICK) as history:
            assert len(await history.read("ann", timeout_s=1.0)) == 0
            proxy.fault = Fault.STALL
            for _ in range(100):
                with pytest.raises(StorageUnavailable):
                    await history.read("ann", timeout_s=0.015)
            assert breaker.state is CircuitState.OPEN


async def test_a_killed_redis_is_found_again(own_server):
    """After kill -9 and a new start, reads and writes work on new connections."""
    async with opened_history(own_server.url, **QUICK) as history:
        await history.append([event(1)])
        await history.read("ann", timeout_s=1.0)
        own_server.kill()
        with pytest.raises(StorageUnavailable):
            await history.read("ann", timeout_s=0.5)
        own_server.start_again()
        assert await history.append([event(2)]) == 1
        assert len(await history.read("ann", timeout_s=1.0)) == 1


async def test_out_of_memory_is_a_sentence_and_stores_nothing(own_server):
    """A Redis at its memory limit refuses the events, and none of the call is stored."""
    async with opened_history(own_server.url) as history:
        with own_server.client() as client:
            client.config_set("maxmemory", 1)
            with pytest.raises(StorageUnavailable, match="memory limit"):
                await history.append([event(1), event(2, user="bob")])
            client.config_set("maxmemory", 0)
            assert client.keys("*") == []


async def test_refused_events_are_in_the_log_but_not_each_of_them(own_server, caplog):
    """Clients get a 503 each; the operator gets one line with the reason, and no user in it."""
    async with opened_history(own_server.url) as history:
        with own_server.client() as client:
            client.config_set("maxmemory", 1)
        for number in range(3):
            with pytest.raises(StorageUnavailable):
                await history.append([event(number)])
    assert [record.getMessage() for record in caplog.records] == [
        "events are refused: could not store the events: Redis refused to write: its memory limit is reached"
    ]


async def test_a_read_only_replica_is_a_sentence(own_server, valkey_server):
    """Writing to a replica says that it is one; reading from it works."""
    with valkey_server.client() as client:
        client.config_set("repl-diskless-sync-delay", 0)
    with own_server.client() as client:
        client.replicaof("127.0.0.1", valkey_server.port)
        await until(lambda: client.info("replication")["master_link_status"] == "up")
    async with opened_history(own_server.url) as replica, opened_history(valkey_server.url) as primary:
        with pytest.raises(StorageUnavailable, match="read-only replica"):
            await replica.append([event(1)])
        await primary.append([event(1)])
        with own_server.client() as client:
            await until(lambda: client.dbsize() > 0)
        assert len(await replica.read("ann", timeout_s=1.0)) == 1


async def test_a_primary_that_became_a_replica_is_left(own_server, valkey_server):
    """It keeps its connections; behind its address there is another by now, which the next call finds."""
    async with (
        faulty_proxy(own_server.port) as proxy,
        opened_history(f"redis://127.0.0.1:{proxy.port}/0", **QUICK) as history,
    ):
        await history.append([event(1)])
        with own_server.client() as client:
            client.replicaof("127.0.0.1", valkey_server.port)
        proxy.target_port = valkey_server.port
        with pytest.raises(StorageUnavailable, match="read-only replica"):
            await history.append([event(2)])
        assert await history.append([event(2)]) == 1


async def test_a_wrong_password_is_a_sentence_without_the_password(own_server):
    """A refused password is said on the rank path and beside it, and is not repeated."""
    with own_server.client() as client:
        client.config_set("requirepass", "right")
    url = f"redis://:wrong@127.0.0.1:{own_server.port}/0"
    async with opened_history(url) as history:
        for attempt in (history.read("ann", timeout_s=1.0), history.append([event(1)])):
            with pytest.raises(StorageUnavailable, match="password") as failure:
                await attempt
            assert "wrong" not in str(failure.value)
    async with opened_history(f"redis://:right@127.0.0.1:{own_server.port}/0") as history:
        await history.append([event(1)])
        assert len(await history.read("ann", timeout_s=1.0)) == 1


async def test_a_connection_that_redis_py_has_forgotten_is_a_sentence(valkey_server):
    """redis-py raises `AttributeError` when a connection is closed while it opens: still a failure of the store."""

    async def forgotten(*_):
        raise AttributeError("'NoneType' object has no attribute 'writelines'")

    async with opened_history(valkey_server.url) as history:
        history._redis.client.evalsha = forgotten
        with pytest.raises(StorageUnavailable, match="cannot be reached"):
            await history.append([event(1)])
