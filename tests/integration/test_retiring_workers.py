"""Workers are exchanged, and nobody is left behind."""

# ruff: noqa: ASYNC110 -- polls what has no event

from __future__ import annotations

import asyncio
import os
import socket
import sys
from types import SimpleNamespace

from app.observability.metrics import MULTIPROCESS_DIR
from app.server import DrainingServer
from app.supervisor import Supervisor

STAYS_AT_SIGUSR1 = """
import os, pathlib, signal, sys, time

drains_s = 1.0

def retire(*_):
    global drains_s
    drains_s = 0.0
    pathlib.Path(sys.argv[1], "asked").touch()

def leave(*_):
    time.sleep(drains_s)
    pathlib.Path(sys.argv[1], str(os.getpid())).touch()
    sys.exit(0)

signal.signal(signal.SIGTERM, leave)
signal.signal(signal.SIGUSR1, retire)
os.write(int(sys.argv[2]), b"1")
while True:
    time.sleep(0.05)
"""


async def test_a_signal_in_the_middle_of_an_exchange_is_the_successor_s_too(tmp_path):
    """Old worker and successor are both told to drain, and both are waited for."""
    gone, metrics = tmp_path / "gone", tmp_path / "metrics"
    gone.mkdir()
    metrics.mkdir()
    supervisor = Supervisor(
        [sys.executable, "-c", STAYS_AT_SIGUSR1, str(gone)], 1,
        environment={**os.environ, MULTIPROCESS_DIR: str(metrics)}, socket_fd=0,
    )  # fmt: skip
    async with asyncio.timeout(30):
        running = asyncio.create_task(supervisor.run())
        while not any(worker.serves for worker in supervisor._workers):
            await asyncio.sleep(0.01)
        supervisor._exchange_is_wanted.set()
        while not (gone / "asked").exists():
            await asyncio.sleep(0.01)
        pids = {str(worker.pid) for worker in supervisor._workers}
        supervisor._on_signal()
        assert await running == 0
    assert len(pids) == 2
    assert pids <= {path.name for path in gone.iterdir()}


async def answer(scope, receive, send):
    """Say yes to whatever is asked."""
    if scope["type"] == "lifespan":
        for done in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{done}.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]})
    await send({"type": "http.response.body", "body": b"yes"})


async def test_a_retiring_worker_leaves_new_connections_to_its_successor(tmp_path):
    """It answers once more on the connection that it has, and ends; one that comes then waits in the socket."""
    service = SimpleNamespace(failure=None, serving=object(), in_flight=0, draining=False)
    with socket.create_server(("127.0.0.1", 0)) as listening, (tmp_path / "told").open("wb") as told:
        server = DrainingServer(
            SimpleNamespace(asgi=answer, service=service, refuse=None), drain_s=0.0, tell_when_serving=told.fileno()
        )
        running = asyncio.create_task(server._serve([listening.dup()]))
        address = listening.getsockname()
        reader, writer = await asyncio.open_connection(*address)
        request = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
        writer.write(request)
        assert b"connection: close" not in await reader.readuntil(b"yes")
        server._retire()
        _, late = await asyncio.open_connection(*address)
        late.write(request)
        await asyncio.sleep(0.2)
        writer.write(request)
        assert b"connection: close" in await asyncio.wait_for(reader.read(), 20)
        await asyncio.wait_for(running, 20)
        listening.settimeout(5)
        with listening.accept()[0] as taken:
            assert taken.recv(1000) == request
        for open_one in (writer, late):
            open_one.close()
