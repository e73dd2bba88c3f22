"""The supervisor with small programs for workers."""

from __future__ import annotations

import asyncio
import os
import sys

import pytest
from prometheus_client.mmap_dict import MmapedDict

from app.errors import UNUSABLE
from app.observability.metrics import MULTIPROCESS_DIR
from app.supervisor import Supervisor

WORKER = """
import os, pathlib, sys, time
from prometheus_client.mmap_dict import MmapedDict
folder, tell = pathlib.Path(sys.argv[1]), int(sys.argv[2])
try:
    (folder / "serving").touch(exist_ok=False)
except FileExistsError:
    while not (folder / "told").exists():
        time.sleep(0.01)
    MmapedDict(str(folder / f"counter_{os.getpid()}.db")).write_value("lists", 1.0, 0.0)
    (folder / f"tried-{os.getpid()}").touch()
    sys.exit(2)
MmapedDict(str(folder / f"counter_{os.getpid()}.db")).write_value("lists", 7.0, 0.0)
os.write(tell, b"1")
(folder / "told").touch()
time.sleep(60)
"""
"""The first one serves; the others wait until it does, and cannot serve."""


@pytest.fixture
def supervisor(tmp_path):
    """Return a function that makes a supervisor of two workers with this command."""
    environment = {**os.environ, MULTIPROCESS_DIR: str(tmp_path)}
    return lambda *command: Supervisor(list(command), 2, environment=environment, socket_fd=0)


async def until(condition):
    """Wait until a condition holds."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 -- other processes
            await asyncio.sleep(0.02)


async def test_a_worker_that_cannot_serve_ends_everything(supervisor):
    """While nobody serves, exit code 2 is the supervisor's too."""
    assert await supervisor(sys.executable, "-c", "import sys; sys.exit(2)").run() == UNUSABLE


async def test_a_worker_that_cannot_come_back_leaves_the_others_serving(supervisor, tmp_path):
    """It is tried again and again, the one that serves goes on until the signal, and only that one's numbers stay."""
    watched = supervisor(sys.executable, "-c", WORKER, str(tmp_path))
    running = asyncio.create_task(watched.run())
    await until(lambda: len(list(tmp_path.glob("tried-*"))) >= 3 or running.done())
    assert not running.done()
    watched._on_signal()
    assert await running == 0
    assert [path.name for path in tmp_path.glob("*.db")] == ["counter_gone.db"]
    counts = MmapedDict.read_all_values_from_file(tmp_path / "counter_gone.db")
    assert [(key, value) for key, value, _, _ in counts] == [("lists", 7.0)]


async def test_a_worker_that_cannot_be_started_is_tried_again(supervisor, tmp_path, caplog):
    """A machine out of processes or memory is no reason to go on with fewer workers for ever."""
    program = tmp_path / "worker"
    watched = supervisor(str(program))
    running = asyncio.create_task(watched.run())
    await until(lambda: "a worker could not be started (No such file or directory)" in caplog.text)
    (tmp_path / "new").write_text(f"#!{sys.executable}\nimport time\ntime.sleep(60)\n")
    (tmp_path / "new").chmod(0o700)
    (tmp_path / "new").rename(program)
    await until(lambda: len(watched._workers) == 2)
    watched._on_signal()
    assert await running == 0


async def test_numbers_that_make_no_sense_are_no_reason_to_be_a_worker_short(supervisor, tmp_path, caplog):
    """A worker that was killed in the middle of writing is replaced like any other."""
    program = "import os, pathlib, sys; os.write(int(sys.argv[2]), b'1'); "
    program += "pathlib.Path(sys.argv[1], f'counter_{os.getpid()}.db').write_bytes(b'\\x7f' * 64)"
    watched = supervisor(sys.executable, "-c", program, str(tmp_path))
    running = asyncio.create_task(watched.run())
    await until(lambda: caplog.text.count("starting it again") > 2)
    watched._on_signal()
    assert await running == 0
    assert "is lost to the metrics" in caplog.text
