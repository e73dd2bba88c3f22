"""Histories in a real Valkey."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from app.contract.event_log import log_key, partition_of
from app.contract.identity import key_of
from app.errors import StorageUnavailable
from app.storage.append_call import HistoryLimits
from app.storage.key_layout import KeyLayout
from tests.integration.opened_history import NOW_MS, event, opened_history

if TYPE_CHECKING:
    from tests.integration.redis_servers import Server

A_SECOND = 1.0


async def items_of(history, user="ann"):
    """Return the item keys that the rank path reads."""
    return (await history.read(user, timeout_s=A_SECOND)).item_keys_E.tolist()


def keys_of_items(numbers):
    """Return the keys of those events' items."""
    return [key_of(f"item-{number}") for number in numbers]


async def test_an_acknowledged_event_is_in_the_next_read(valkey_url):
    """What `append` has acknowledged, `read` returns: item, action and time."""
    async with opened_history(valkey_url) as history:
        assert await history.append([event(1)]) == 1
        stored = await history.read("ann", timeout_s=A_SECOND)
    assert stored.item_keys_E.tolist() == [key_of("item-1")]
    assert stored.action_keys_E.tolist() == [key_of("view")]
    assert stored.timestamps_ms_E.tolist() == [event(1).timestamp_ms]


async def test_an_unknown_user_has_an_empty_history(valkey_url):
    """Reading a user that nobody has heard of returns no events."""
    async with opened_history(valkey_url) as history:
        assert await items_of(history, "nobody") == []
        assert await history.recent_events("nobody") == []


async def test_events_come_in_event_time_order_however_they_arrive(valkey_url):
    """Events that arrive shuffled, in several calls, are read oldest first and shown newest first."""
    numbers = list(range(40))
    random.Random(3).shuffle(numbers)
    async with opened_history(valkey_url) as history:
        for start in range(0, 40, 7):
            await history.append([event(number) for number in numbers[start : start + 7]])
        assert await items_of(history) == keys_of_items(range(40))
        shown = [shown.item for shown in await history.recent_events("ann")]
    assert shown == [f"item-{number}" for number in reversed(range(40))]


async def test_events_of_one_time_stay_in_order_of_arrival(valkey_url):
    """Events with the same timestamp keep the order in which they came."""
    async with opened_history(valkey_url) as history:
        for number in (5, 2, 9):
            await history.append([event(number, at_ms=NOW_MS)])
        assert await items_of(history) == keys_of_items([5, 2, 9])


async def test_an_id_counts_once(valkey_url):
    """An event id that is sent again, alone or within one call, is stored and logged once."""
    async with opened_history(valkey_url) as history:
        assert await history.append([event(1), event(1), event(2)]) == 2
        assert await history.append([event(2, item="another item"), event(3)]) == 1
        assert await items_of(history) == keys_of_items([1, 2, 3])
        assert await log_length(history) == 3


async def test_an_event_id_may_be_that_of_an_item(valkey_url):
    """Only events' ids are compared: one that equals an item or an action of the history is new."""
    async with opened_history(valkey_url) as history:
        assert await history.append([event(1, item="e2")]) == 1
        assert await history.append([event(2)]) == 1
        assert await items_of(history) == [key_of("e2"), key_of("item-2")]


async def log_length(history, user="ann"):
    """Return how many entries the log of the user's partition has."""
    return await history._redis.client.xlen(log_key(partition_of(user)))


async def test_the_oldest_events_go_when_the_history_is_full(valkey_url):
    """Only the latest events by event time are kept, packed and readable alike."""
    async with opened_history(valkey_url, limits=HistoryLimits(kept_events=5)) as history:
        await history.append([event(number) for number in (3, 9, 1, 7, 5, 8, 2, 4, 6)])
        assert await items_of(history) == keys_of_items([5, 6, 7, 8, 9])
        assert [shown.event_id for shown in await history.recent_events("ann")] == ["e9", "e8", "e7", "e6", "e5"]
        details = KeyLayout().of_user("ann").details
        assert await history._redis.client.hlen(details) == 5


async def test_an_event_too_old_for_a_full_history_is_logged_only(valkey_url):
    """A late event that is older than everything kept does not push anything out, and is in the log for training."""
    async with opened_history(valkey_url, limits=HistoryLimits(kept_events=3)) as history:
        await history.append([event(number) for number in (4, 5, 6)])
        assert await history.append([event(1)]) == 1
        assert await items_of(history) == keys_of_items([4, 5, 6])
        assert await log_length(history) == 4


async def test_of_events_at_one_time_the_last_to_arrive_stay(valkey_url):
    """In a full history an event as old as the oldest one takes its place: what was just acknowledged is used."""
    async with opened_history(valkey_url, limits=HistoryLimits(kept_events=2)) as history:
        for number in (1, 2, 3):
            await history.append([event(number, at_ms=NOW_MS)])
        assert await items_of(history) == keys_of_items([2, 3])


async def test_an_event_from_the_far_future_stands_at_its_arrival(valkey_url):
    """A clock that is wrong by years does not hold the newest place for ever; the log keeps what it said."""
    far = NOW_MS + 10 * 365 * 86_400_000
    async with opened_history(valkey_url) as history:
        await history.append([event(1, at_ms=far), event(2, at_ms=NOW_MS + 1000)])
        stored = await history.read("ann", timeout_s=A_SECOND)
        logged = await history._redis.client.xrange(log_key(partition_of("ann")))
    assert stored.timestamps_ms_E.tolist() == [NOW_MS, NOW_MS + 1000]
    assert [fields[b"t"] for _, fields in logged] == [str(far).encode(), str(NOW_MS + 1000).encode()]


async def test_everything_personal_has_a_time_to_live(valkey_url):
    """Every key that an event makes expires."""
    limits = HistoryLimits(history_ttl_s=1000, log_retention_s=500)
    async with opened_history(valkey_url, limits=limits) as history:
        await history.append([event(1), event(2, user="bob")])
        client = history._redis.client
        times = {key: await client.ttl(key) for key in await client.keys("*")}
    assert len(times) == 6
    assert all(0 < seconds <= (500 if key.endswith(b":log") else 1000) for key, seconds in times.items())


async def test_the_log_forgets_what_is_older_than_its_retention(valkey_url):
    """Entries that arrived before the retention time go with the next event of their partition."""
    old = log_key(partition_of("ann"))
    async with opened_history(valkey_url, limits=HistoryLimits(log_retention_s=3600)) as history:
        client = history._redis.client
        now_s, _ = await client.time()
        for age_s in (7200, 3700, 3500):
            await client.xadd(old, {"u": "x"}, id=f"{(now_s - age_s) * 1000}-0")
        await history.append([event(1)])
        kept = await client.xrange(old)
    assert [fields.get(b"u") for _, fields in kept] == [b"x", b"ann"]


async def test_a_log_of_few_entries_is_still_a_log(valkey_url):
    """Fewer entries than there are partitions are not rounded down to none."""
    async with opened_history(valkey_url, limits=HistoryLimits(log_events=10)) as history:
        await history.append([event(1)])
        assert await log_length(history) == 1


async def test_the_log_is_bounded_by_length(valkey_url):
    """However many events come, the log stays near its length."""
    limits = HistoryLimits(kept_events=10, log_events=256 * 50)
    async with opened_history(valkey_url, limits=limits) as history:
        for start in range(0, 1000, 100):
            await history.append([event(number) for number in range(start, start + 100)])
        assert await log_length(history) <= 50 + 100


async def test_no_log_is_written_when_it_is_switched_off(valkey_url):
    """A log of length 0 leaves no stream behind."""
    async with opened_history(valkey_url, limits=HistoryLimits(log_events=0)) as history:
        await history.append([event(1)])
        assert await log_length(history) == 0


async def test_forgetting_removes_every_trace_of_one_user_only(valkey_url):
    """`forget` removes history, details and log entries of the user, says how many, and leaves others alone."""
    neighbour = next(f"u{n}" for n in range(10_000) if partition_of(f"u{n}") == partition_of("ann"))
    async with opened_history(valkey_url) as history:
        await history.append([event(number) for number in range(30)])
        await history.append([event(number, user=neighbour) for number in range(100, 104)])
        assert await history.forget("ann") == {"history_events": 30, "log_entries": 30}
        assert await items_of(history) == []
        assert await history.recent_events("ann") == []
        assert not [key for key in await history._redis.client.keys("*") if b"ann" in key]
        assert len(await items_of(history, neighbour)) == 4
        logged = await history._redis.client.xrange(log_key(partition_of("ann")))
        assert {fields[b"u"] for _, fields in logged} == {neighbour.encode()}
        assert await history.forget("ann") == {"history_events": 0, "log_entries": 0}


async def test_forgetting_searches_a_log_of_many_pages(valkey_url):
    """Entries beyond the first page of the log are found too."""
    neighbour = next(f"u{n}" for n in range(10_000) if partition_of(f"u{n}") == partition_of("ann"))
    async with opened_history(valkey_url) as history:
        await history.append([event(1)])
        await history.append([event(number, user=neighbour) for number in range(10, 2510)])
        await history.append([event(2)])
        assert (await history.forget("ann"))["log_entries"] == 2


async def test_with_a_secret_no_key_and_no_value_holds_the_user_id(valkey_url):
    """Keys and log name a keyed hash instead of the user; reading, showing and forgetting work by the id."""
    async with opened_history(valkey_url, user_secret="hush") as history:
        await history.append([event(1, user="ann@example.org")])
        client = history._redis.client
        everything = await client.keys("*")
        token = KeyLayout(user_secret="hush").token_of("ann@example.org")
        logged = await client.xrange(log_key(partition_of(token)))
        assert not [key for key in everything if b"example" in key]
        assert logged[0][1][b"u"] == token.encode()
        assert len(await items_of(history, "ann@example.org")) == 1
        assert (await history.recent_events("ann@example.org"))[0].user == "ann@example.org"
        assert await history.forget("ann@example.org") == {"history_events": 1, "log_entries": 1}


@pytest.mark.parametrize("user", ["{", "}", "a}b{c", "{}", "ünïcödé", "\ud800", "x" * 256, "a b\r\nc", "\x00"])
async def test_any_user_id_works(valkey_url, user):
    """Braces, line ends, lone surrogates and long ids are stored, read, shown and forgotten."""
    async with opened_history(valkey_url) as history:
        await history.append([event(1, user=user, item=user)])
        assert await items_of(history, user) == [key_of(user)]
        assert [shown.item for shown in await history.recent_events(user)] == [user]
        assert await history.forget(user) == {"history_events": 1, "log_entries": 1}


async def test_events_of_many_users_go_in_one_call(valkey_url):
    """A thousand events of a hundred users are stored together."""
    events = [event(number, user=f"user-{number % 100}") for number in range(1000)]
    async with opened_history(valkey_url) as history:
        assert await history.append(events) == 1000
        assert await history.append([]) == 0
        for number in (0, 57, 99):
            assert await items_of(history, f"user-{number}") == keys_of_items(range(number, 1000, 100))


async def test_a_call_that_meets_a_foreign_key_stores_nothing(valkey_url):
    """When one user's key belongs to another program, no event of the call is stored, for nobody."""
    async with opened_history(valkey_url) as history:
        await history._redis.client.lpush(KeyLayout().of_user("bob").details, "theirs")
        with pytest.raises(StorageUnavailable, match="another program"):
            await history.append([event(1), event(2, user="bob"), event(3, user="carol")])
        assert await items_of(history) == []
        assert await items_of(history, "carol") == []
        assert await log_length(history) == 0


async def test_a_foreign_key_is_no_history(valkey_url):
    """A packed key of another type reads as no events, and showing it is a sentence, not a crash."""
    async with opened_history(valkey_url) as history:
        await history._redis.client.lpush(KeyLayout().of_user("ann").packed, "theirs")
        assert await items_of(history) == []
        with pytest.raises(StorageUnavailable, match="another program"):
            await history.recent_events("ann")


async def test_damaged_bytes_are_ignored_counted_and_healed(valkey_url):
    """Bytes that are no records are left out and counted; the next append writes sound ones after them."""
    async with opened_history(valkey_url) as history:
        await history.append([event(1)])
        await history._redis.client.append(KeyLayout().of_user("ann").packed, b"half a record")
        assert await items_of(history) == keys_of_items([1])
        assert history.damaged_records == 1
        await history.append([event(2)])
        assert await items_of(history) == keys_of_items([1, 2])
        assert history.damaged_records == 1


async def test_the_items_version_comes_with_the_history(valkey_url):
    """The reply of a read carries the partition's copy of the items' version; nonsense there counts as 0."""
    async with opened_history(valkey_url) as history:
        key = KeyLayout().of_user("ann").catalog_version
        await history._redis.client.set(key, 17)
        assert (await history.read("ann", timeout_s=A_SECOND)).catalog_version == 17
        await history._redis.client.set(key, "seventeen")
        assert (await history.read("ann", timeout_s=A_SECOND)).catalog_version == 0


async def test_many_reads_at_once_get_their_own_histories(valkey_url):
    """A hundred concurrent reads on the shared connection each return their own user's events."""
    async with opened_history(valkey_url) as history:
        await history.append([event(number, user=f"user-{number}") for number in range(100)])
        found = await asyncio.gather(*(items_of(history, f"user-{number}") for number in range(100)))
    assert found == [keys_of_items([number]) for number in range(100)]


async def test_the_script_comes_back_after_a_script_flush(valkey_server: Server):
    """When Redis has forgotten the script, the next append sends it again."""
    async with opened_history(valkey_server.url) as history:
        await history.append([event(1)])
        with valkey_server.client() as client:
            client.script_flush()
        assert await history.append([event(2)]) == 1
