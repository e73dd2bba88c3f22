"""The embedded Valkey: started, watched, killed, locked."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import SimpleNamespace

import pytest

from app.errors import InvalidSetting, StorageUnavailable
from app.storage import embedded
from app.storage.append_call import HistoryLimits
from app.storage.connection import RedisOptions
from app.storage.embedded import EmbeddedValkey
from app.storage.redis_address import EMBEDDED
from app.storage.store import Store, open_store
from tests.integration.opened_history import event, opened_history

ROOT = Path(__file__).parents[2]


def opened_store(folder: Path) -> AbstractAsyncContextManager[Store]:
    """Open the whole store with its embedded server in a folder."""
    return open_store(RedisOptions(url=EMBEDDED), limits=HistoryLimits(), data_dir=folder)


def is_alive(pid: int) -> bool:
    """Tell whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] != "Z"
    except OSError:
        return False


async def until_dead(pid: int) -> None:
    """Wait for a process to end."""
    async with asyncio.timeout(5):
        while is_alive(pid):  # noqa: ASYNC110 -- another process
            await asyncio.sleep(0.01)


async def test_it_serves_on_a_private_socket_and_stops_cleanly(tmp_path):
    """Inside the context it stores events; after it, no process and no lock is left."""
    async with EmbeddedValkey(tmp_path / "data") as server:
        assert server.pid is not None
        pid = server.pid
        assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
        assert server.socket.stat().st_mode & 0o077 == 0
        async with opened_history(server.url) as history:
            assert await history.append([event(1)]) == 1
    assert not is_alive(pid)
    async with EmbeddedValkey(tmp_path / "data") as server, opened_history(server.url) as history:
        assert len(await history.read("ann", timeout_s=1.0)) == 1


async def test_killed_in_mid_write_it_comes_back_with_every_acknowledged_event(tmp_path):
    """Kill -9 under a stream of events, several times: it restarts, and nothing acknowledged is missing."""
    acknowledged = []
    async with EmbeddedValkey(tmp_path) as server, opened_history(server.url) as history:
        number = 0
        for _ in range(4):
            struck_at = number + 10
            with contextlib.suppress(StorageUnavailable):
                while True:
                    await history.append([event(number)])
                    acknowledged.append(number)
                    number += 1
                    if number == struck_at:
                        asyncio.get_running_loop().call_later(0.001, os.kill, server.pid, signal.SIGKILL)
            number += 1
            async with asyncio.timeout(10):
                while True:
                    with contextlib.suppress(StorageUnavailable):
                        await history.append([event(number)])
                        acknowledged.append(number)
                        number += 1
                        break
                    await asyncio.sleep(0.02)
        assert server.restarts == 4
        stored = {shown.event_id for shown in await history.recent_events("ann")}
    assert len(acknowledged) > 20
    assert not {f"e{n}" for n in acknowledged[-200:]} - stored


async def test_a_store_that_cannot_write_refuses_and_comes_back_with_everything_acknowledged(tmp_path):
    """At the end of its room the server ends rather than acknowledge; with room again all of it is there."""
    acknowledged = []
    async with EmbeddedValkey(tmp_path) as server, opened_history(server.url) as history:
        await history.append([event(0)])
        written = sum(path.stat().st_size for path in (tmp_path / "appendonlydir").iterdir())
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (written + 2000, written + 2000))
        with contextlib.suppress(StorageUnavailable):
            for number in range(1, 100):
                await history.append([event(number)])
                acknowledged.append(f"e{number}")
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(StorageUnavailable):
                    await history.append([event(200)])
                    break
                await asyncio.sleep(0.02)
        stored = {shown.event_id for shown in await history.recent_events("ann")}
    assert 0 < len(acknowledged) < 99
    assert {"e0", *acknowledged, "e200"} - stored == set()


async def test_a_full_disk_is_named(tmp_path, monkeypatch):
    """While the disk is full and the store is down, an event is refused with that reason."""
    async with opened_store(tmp_path) as store:
        assert store.embedded.trouble() is None
        room = shutil.disk_usage(tmp_path)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: room._replace(free=0))
        monkeypatch.setattr(embedded, "_FIRST_PAUSE_S", 60.0)
        os.kill(store.embedded.pid, signal.SIGKILL)
        with pytest.raises(StorageUnavailable) as caught:
            await store.history.append([event(1)])
    assert str(caught.value) == (
        "could not store the events: the disk of the embedded store (SEQRANK_DATA_DIR) is full"
    )  # fmt: skip


async def test_a_disk_that_is_full_at_the_start_is_named(tmp_path, monkeypatch):
    """The server cannot even write into its log why it ended."""
    program = tmp_path / "server"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o700)
    monkeypatch.setattr(embedded, "find_server_binary", lambda: program)
    room = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: room._replace(free=0))
    with pytest.raises(StorageUnavailable, match=r"ended at its start: the disk of the embedded store .* is full"):
        async with EmbeddedValkey(tmp_path / "data"):
            pass


async def test_a_store_that_is_being_started_again_says_so(tmp_path, monkeypatch):
    """Between the server's death and its restart an event is refused with that reason."""
    monkeypatch.setattr(embedded, "_FIRST_PAUSE_S", 60.0)
    async with opened_store(tmp_path) as store:
        os.kill(store.embedded.pid, signal.SIGKILL)
        async with asyncio.timeout(5):
            while store.embedded.pid is not None:  # noqa: ASYNC110 -- another process
                await asyncio.sleep(0.01)
        with pytest.raises(StorageUnavailable, match="has ended and is being started again"):
            await store.history.append([event(1)])


async def test_a_data_folder_serves_one_at_a_time(tmp_path, monkeypatch):
    """A second server on the same folder is refused in one sentence that names the folder."""
    monkeypatch.setattr(embedded, "_LOCK_WAIT_S", 0.1)
    async with EmbeddedValkey(tmp_path):
        with pytest.raises(InvalidSetting, match=f"^SEQRANK_DATA_DIR is '{tmp_path}': the folder is in use by another"):
            async with EmbeddedValkey(tmp_path):
                pass


async def test_the_server_itself_holds_the_lock(tmp_path, monkeypatch):
    """While an orphaned server still lives, its folder is refused, even though its service has let go."""
    monkeypatch.setattr(embedded, "_LOCK_WAIT_S", 0.1)
    async with EmbeddedValkey(tmp_path) as server:
        os.close(server._lock)
        server._lock = None
        with pytest.raises(InvalidSetting, match="is in use by another Seqrank"):
            async with EmbeddedValkey(tmp_path):
                pass


async def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path):
    """A path through a file is refused in one sentence."""
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidSetting, match="cannot be made"):
        async with EmbeddedValkey(tmp_path / "file" / "data"):
            pass


async def test_a_damaged_data_folder_is_a_sentence_with_the_servers_words(tmp_path):
    """A server that ends at its start says why, and leaves the folder unlocked."""
    (tmp_path / "appendonlydir").mkdir()
    (tmp_path / "appendonlydir" / "appendonly.aof.manifest").write_text("nonsense\n")
    with pytest.raises(StorageUnavailable, match=r"ended at its start: \S+"):
        async with EmbeddedValkey(tmp_path):
            pass
    (tmp_path / "appendonlydir" / "appendonly.aof.manifest").unlink()
    async with EmbeddedValkey(tmp_path):
        pass


async def test_a_very_long_data_folder_gets_its_socket_elsewhere(tmp_path):
    """A path that is too long for a Unix socket still works."""
    folder = tmp_path / ("long" * 40)
    async with EmbeddedValkey(folder) as server, opened_history(server.url) as history:
        assert len(os.fsencode(server.socket)) < 100
        assert await history.append([event(1)]) == 1
        place = server.socket.parent
    assert not place.exists()


async def test_it_dies_with_its_parent_and_lets_the_next_one_in(tmp_path):
    """When the service is killed with -9, the server goes too, and the next service finds folder and data."""
    code = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from app.storage.embedded import EmbeddedValkey\n"
        "async def main():\n"
        "    async with EmbeddedValkey(Path(sys.argv[1])) as server:\n"
        "        print(server.pid, flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    parent = subprocess.Popen(  # noqa: ASYNC220 -- it only starts
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    pid = int(await asyncio.to_thread(parent.stdout.readline))
    async with opened_history(f"unix://{tmp_path}/valkey.sock") as history:
        await history.append([event(1)])
    parent.kill()
    parent.wait()
    parent.stdout.close()
    await until_dead(pid)
    started_s = time.monotonic()
    async with EmbeddedValkey(tmp_path) as server, opened_history(server.url) as history:
        assert len(await history.read("ann", timeout_s=1.0)) == 1
    assert time.monotonic() - started_s < 10


async def test_a_folder_with_signs_that_mean_something_in_a_url_works(tmp_path):
    """A percent sign, a question mark and a hash are parts of its name."""
    async with opened_store(tmp_path / "50%25 of? #1") as store:
        assert await store.history.append([event(1)]) == 1
        assert len(await store.history.read("ann", timeout_s=1.0)) == 1


LOADING = """#!{python}
import socket, sys, time
path = sys.argv[sys.argv.index("--unixsocket") + 1]
with socket.socket(socket.AF_UNIX) as listening:
    listening.bind(path)
    listening.listen()
    for reply in [b"-LOADING Redis is loading the dataset in memory\\r\\n"] * 5 + [b"+PONG\\r\\n"]:
        connection, _ = listening.accept()
        connection.recv(100)  # a connection that is closed with unread bytes is reset, and the answer may be lost
        connection.sendall(reply)
        connection.close()
    time.sleep(60)
"""


class SlowlyRead(EmbeddedValkey):
    """With each answer of the server a hundred seconds have passed."""

    now_s = 0.0

    async def _reply(self):
        reply = await super()._reply()
        if reply:
            type(self).now_s += 100.0
        return reply


async def test_a_server_that_is_still_loading_is_waited_for(tmp_path, monkeypatch):
    """A long append-only file takes longer than a server that says nothing may."""
    program = tmp_path / "server"
    program.write_text(LOADING.format(python=sys.executable))
    program.chmod(0o700)
    monkeypatch.setattr(embedded, "find_server_binary", lambda: program)
    monkeypatch.setattr(embedded, "time", SimpleNamespace(monotonic=lambda: SlowlyRead.now_s))
    async with SlowlyRead(tmp_path / "data", start_timeout_s=60.0) as server:
        assert server.pid is not None
    assert SlowlyRead.now_s == 600.0
