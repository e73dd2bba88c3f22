"""The doctor finds what is wrong and says what to do."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from app import doctor
from app.contract.online_items import StoredItem
from app.doctor import examine
from app.opening import store_of
from app.settings import Settings
from tests.integration.opened_history import event


def test_a_good_house_is_well(tiny_bundle, tmp_path, capsys):
    """Bundle, provider, store and clock in order: every finding about them is ok."""
    examine(Settings(bundle=tiny_bundle, data_dir=tmp_path / "data", redis_timeout_ms=1000))
    lines = capsys.readouterr().out.splitlines()
    well = {line.split()[1] for line in lines if line.startswith("ok")}
    assert {"bundle", "certificate", "provider", "redis", "append", "fsync", "clock", "disk", "keys"} <= well


def test_a_store_that_may_lose_events_is_found(tiny_bundle, tmp_path, capsys):
    """``everysec`` is named, with what it may cost."""
    assert examine(Settings(bundle=tiny_bundle, data_dir=tmp_path / "data", append_fsync="everysec")) == 1
    out = capsys.readouterr().out
    assert "FAIL fsync" in out
    assert "power cut" in out


def test_a_disk_without_room_is_found(tiny_bundle, tmp_path, capsys, monkeypatch):
    """The embedded store's folder is looked at before it exists, and what happens when it is full is said."""
    monkeypatch.setattr("app.doctor.LEAST_FREE_GB", 1e9)
    assert examine(Settings(bundle=tiny_bundle, data_dir=tmp_path / "not" / "yet")) == 1
    out = capsys.readouterr().out
    assert "FAIL disk" in out
    assert "events are refused when the disk is full" in out


def test_nothing_there_is_said_and_not_raised(tmp_path, capsys):
    """No bundle and no Redis: two findings with advice, code 1."""
    assert examine(Settings(bundle=tmp_path / "nowhere", redis_url="redis://127.0.0.1:1", host="0.0.0.0")) == 1  # noqa: S104 -- the point
    out = capsys.readouterr().out
    for sentence in (
        "FAIL bundle",
        "FAIL redis",
        "nothing listens at its address",
        "SEQRANK_REDIS_URL",
        "SEQRANK_API_KEYS",
    ):
        assert sentence in out
    assert asyncio.get_event_loop_policy() is not None


def found(settings, about):
    """Return the doctor's findings of the store or the keys whose name is ``about``."""
    findings = [*asyncio.run(doctor._redis(settings)), doctor._keys(settings)]
    return [finding for finding in findings if finding.about == about]


async def test_beside_a_running_service_its_store_is_looked_at(tmp_path):
    """The folder's lock is no finding: the service that holds it has a store, and that one is examined."""
    settings = Settings(data_dir=tmp_path / "data", redis_timeout_ms=1000)
    async with store_of(settings):
        findings = await doctor._redis(settings)
    assert [finding.about for finding in findings if not finding.well] == []
    assert {"service", "redis", "append log", "fsync"} <= {finding.about for finding in findings}


async def test_a_folder_that_is_in_use_is_named_with_its_variable(tmp_path):
    """Where the other store cannot be reached, the advice is about the folder and not about a URL."""
    settings = Settings(data_dir=tmp_path / "data")
    async with store_of(settings) as store:
        store.embedded.socket.rename(tmp_path / "hidden.sock")
        (finding,) = await doctor._redis(settings)
    assert not finding.well
    assert "SEQRANK_DATA_DIR is" in finding.text
    assert "in use by another Seqrank" in finding.text
    assert "SEQRANK_REDIS_URL" not in finding.text + finding.advice


def test_a_wrong_url_to_read_from_is_named(tmp_path):
    """The finding names the variable that is wrong, and no advice names another."""
    (finding,) = found(Settings(data_dir=tmp_path, redis_read_url=SecretStr("embedded")), "redis")
    assert finding.text.startswith("SEQRANK_REDIS_READ_URL is 'embedded', expected one of redis://")
    assert (finding.well, finding.advice) == (False, "")


@pytest.mark.parametrize(("is_embedded", "well"), [(True, True), (False, False)])
async def test_one_slow_read_is_held_against_a_remote_store_alone(is_embedded, well):
    """On the same machine one late answer of fifty tells of the machine; nobody can move that store nearer."""
    reads = iter([0.05] + [0.0] * (doctor.PINGS - 1))

    class Histories:
        async def read(self, *_, timeout_s):
            assert timeout_s
            await asyncio.sleep(next(reads))

    class House:
        history = Histories()

    finding = await doctor._redis_latency(House(), Settings(), is_embedded=is_embedded)
    assert finding.well is well
    assert ("nearer" in finding.advice) is not is_embedded


@pytest.mark.parametrize(
    ("settings", "well", "text"),
    [
        ({"api_keys": "alpha"}, True, "requests need a key"),
        ({"host": "192.0.2.1"}, False, "everyone who reaches the port may rank, send feedback, read and delete users"),
        ({"host": "192.0.2.1", "admin_keys": "root"}, False, "everyone who reaches the port may rank"),
    ],
)
def test_what_is_open_is_found(tmp_path, settings, well, text):
    """What may be done without a key is a finding where others can reach the port."""
    (finding,) = found(Settings(data_dir=tmp_path, redis_url="redis://127.0.0.1:1", **settings), "keys")
    assert finding.well is well
    assert text in finding.text


def test_a_key_file_without_a_key_is_found(tmp_path):
    """A file that lets nobody in is no good lock."""
    (tmp_path / "keys").write_text("# none yet\n")
    (finding,) = found(Settings(redis_url="redis://127.0.0.1:1", api_keys_file=tmp_path / "keys"), "keys")
    assert not finding.well
    assert "SEQRANK_API_KEYS_FILE" in finding.text
    assert "holds no key" in finding.text


@pytest.mark.parametrize(
    ("policy", "limit", "well"),
    [("volatile-lru", "100mb", False), ("allkeys-lru", "100mb", False), ("noeviction", "100mb", True),
     ("volatile-lru", "0", True)],
)  # fmt: skip
def test_a_store_that_drops_histories_when_memory_is_short_is_found(own_server, policy, limit, well):
    """Whatever has an expiry goes under every policy but one, and nothing goes without a limit."""
    with own_server.client() as client:
        client.config_set("maxmemory-policy", policy)
        client.config_set("maxmemory", limit)
    (finding,) = found(Settings(redis_url=own_server.url), "eviction")
    assert finding.well is well
    assert policy in finding.text


def test_a_store_that_refuses_to_write_is_found(own_server):
    """Reading alone would not tell that every event is refused."""
    with own_server.client() as client:
        client.replicaof("127.0.0.1", 1)
    (finding,) = found(Settings(redis_url=own_server.url), "writing")
    assert not finding.well
    assert finding.text == "could not write: Redis refused to write: it is a read-only replica, expected the primary"


def test_the_rights_that_the_page_names_are_enough(own_server):
    """With the user of `docs/storage.md` events and items are stored, read and forgotten, and the doctor looks."""
    page = (Path(__file__).parents[2] / "docs" / "storage.md").read_text("utf-8")
    (rule,) = re.findall(r"^ACL SETUSER seqrank .*?$", page.replace(" \\\n", " "), flags=re.MULTILINE)
    with own_server.client() as client:
        client.execute_command(*rule.split())
        client.execute_command("ACL SETUSER default off")
    settings = Settings(redis_url=f"redis://seqrank:PASSWORD@127.0.0.1:{own_server.port}", redis_timeout_ms=1000)
    assert {finding.about for finding in found_all(settings) if finding.well} >= {
        "redis",
        "writing",
        "skew",
        "eviction",
    }
    asyncio.run(use_everything(settings))


def found_all(settings):
    """Return all findings of the store."""
    return asyncio.run(doctor._redis(settings))


async def use_everything(settings):
    """Store, read and forget."""
    async with store_of(settings) as store:
        await store.history.append([event(1), event(2, user="bob")])
        assert len(await store.history.read("ann", timeout_s=1.0)) == 1
        assert len(await store.history.recent_events("ann")) == 1
        assert await store.history.forget("ann") == {"history_events": 1, "log_entries": 1}
        item = StoredItem("new", "text", {}, "encoder", None)
        assert await store.items.store([item]) == await store.items.version() == 1
        assert [found.item_id for found in (await store.items.changes_since(0))[0]] == ["new"]
