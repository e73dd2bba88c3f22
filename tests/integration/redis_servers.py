"""Starts real Valkey or Redis servers for tests: one, or a cluster of three."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import redis

from app.storage.server_binary import find_server_binary

if TYPE_CHECKING:
    from collections.abc import Iterator

CLUSTER_SLOTS = 16384


def server_binary() -> Path:
    """Return the server under test: ``SEQRANK_TEST_REDIS_SERVER``, else the one that the service would start."""
    named = os.environ.get("SEQRANK_TEST_REDIS_SERVER")
    return Path(named) if named else find_server_binary()


def free_port() -> int:
    """Return a TCP port below the range that servers add 10,000 to for their cluster bus."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port < 55_000:
            return port


@dataclass(slots=True)
class Server:
    """One running server, and what may be done to it."""

    port: int
    folder: Path
    arguments: tuple[str, ...]
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> redis.Redis:
        """Return a blocking client of its own."""
        return redis.Redis(port=self.port, protocol=2, socket_timeout=5)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, for example SIGSTOP to stall it."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill -9 and wait for its end."""
        self.process.kill()
        self.process.wait()

    def start_again(self) -> None:
        """Start it on the same port and folder."""
        self.process = _spawn(self.port, self.folder, self.arguments)
        _wait_until_it_answers(self)


@contextmanager
def running_server(folder: Path, *arguments: str) -> Iterator[Server]:
    """Run a server in a folder until the context ends."""
    port = free_port()
    server = Server(port, folder, arguments, _spawn(port, folder, arguments))
    try:
        _wait_until_it_answers(server)
        yield server
    finally:
        server.signal(signal.SIGCONT)
        server.kill()


@contextmanager
def running_cluster(folder: Path, *more: str) -> Iterator[list[Server]]:
    """Run three primaries that share all slots, with ``more`` arguments each."""
    with ExitStack() as stack:
        servers = []
        for number in range(3):
            home = folder / str(number)
            home.mkdir()
            arguments = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1000", *more)
            servers.append(stack.enter_context(running_server(home, *arguments)))
        clients = [stack.enter_context(server.client()) for server in servers]
        bounds = [round(part * CLUSTER_SLOTS / 3) for part in range(4)]
        for number, client in enumerate(clients):
            client.execute_command("CLUSTER ADDSLOTSRANGE", bounds[number], bounds[number + 1] - 1)
            client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
            client.execute_command("CLUSTER MEET", "127.0.0.1", servers[0].port)
        _wait(lambda: all(_is_whole(client) for client in clients), "the cluster did not form")
        yield servers


def _is_whole(client: redis.Redis) -> bool:
    info = client.execute_command("CLUSTER INFO")  # type: ignore[no-untyped-call]
    text = info if isinstance(info, dict) else dict(line.split(":") for line in info.decode().split())
    return text["cluster_state"] == "ok" and int(text["cluster_known_nodes"]) == 3


def _spawn(port: int, folder: Path, arguments: tuple[str, ...]) -> subprocess.Popen[bytes]:
    with (folder / "server.log").open("ab") as log:
        return subprocess.Popen(
            [server_binary(), "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "", *arguments],
            stdout=log,
            stderr=log,
        )


def _wait_until_it_answers(server: Server) -> None:
    def answers() -> bool:
        try:
            with server.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    _wait(answers, f"the server on port {server.port} did not answer")


def _wait(condition: object, failure: str, *, limit_s: float = 20.0) -> None:
    assert callable(condition)
    give_up_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < give_up_s, failure
        time.sleep(0.02)
