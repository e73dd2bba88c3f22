"""Runs the application on a socket until a signal, and lets go of it gently."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any, Final, cast

import uvicorn

from app.acceptor import Acceptor
from app.errors import UNUSABLE
from app.http_protocol import ShortProtocol
from app.listening import BACKLOG

if TYPE_CHECKING:
    import socket
    from types import FrameType

    from app.main import Application

MOST_DRAIN_S: Final = 6.0
"""After SIGTERM requests in flight have so long; closing the parts has the rest of the ten seconds."""

FORCED_AFTER_S: Final = 1
"""After that, how long uvicorn waits for what is left, whole seconds."""

RETIRING_S: Final = 3.0
"""A worker that has a successor leaves idle connections open for so long, to tell callers to open new ones."""


class DrainingServer(uvicorn.Server):
    """After the first SIGTERM or SIGINT: unready at once, gone when nothing is in flight. After the second: gone.

    A worker that gets SIGUSR1 has a successor on the same socket: it accepts no more, answers what still comes on the
    connections that it has, each time as the last answer of that connection, and goes.
    """

    def __init__(self, application: Application, *, drain_s: float, tell_when_serving: int | None = None) -> None:
        """Prepare.

        Args:
            application: What to serve.
            drain_s: The port stays open for so long, answering 503, so that balancers notice.
            tell_when_serving: Of one worker of several, which accept from the same socket: a pipe that gets a byte when
                requests are answered.
        """
        super().__init__(_config(application.asgi))
        self._service = application.service
        self._refuse = application.refuse
        self._drain_s = drain_s
        self._tell_when_serving = tell_when_serving
        self._draining_since_s: float | None = None
        self._retiring_since_s: float | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, but accept connections by ourselves."""
        await super().startup(sockets=[])
        for listening in sockets or []:
            acceptor = Acceptor(listening, self._make_protocol, is_shared=self._tell_when_serving is not None)
            # it has all that is called of a server
            self.servers.append(acceptor)  # type: ignore[arg-type]
        if self._tell_when_serving is not None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self._retire)
        if self._tell_when_serving is not None and self._service.serving is not None:
            os.write(self._tell_when_serving, b"1")

    def _make_protocol(self) -> asyncio.Protocol:
        protocol = ShortProtocol(self.config, self.server_state, self.lifespan.state, refuse=self._refuse)
        if self._retiring_since_s is not None:
            protocol.leave()
        return protocol

    def _retire(self) -> None:
        self._retiring_since_s = time.monotonic()
        for acceptor in self.servers:
            acceptor.close()
        for connection in self.server_state.connections:
            cast("ShortProtocol", connection).leave()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 -- uvicorn's signature
        """Begin to drain, or leave at once if that has begun already."""
        if self._draining_since_s is not None:
            # what matters is on disk already, and the embedded store dies with its parent
            os._exit(128 + sig)
        self._service.draining = True
        self._draining_since_s = time.monotonic()

    async def on_tick(self, counter: int) -> bool:
        """Decide every tenth of a second whether to end."""
        if self._service.failure is not None:
            self.should_exit = True
        if self._draining_since_s is not None:
            spent_s = time.monotonic() - self._draining_since_s
            done = spent_s >= self._drain_s and not self._service.in_flight
            self.should_exit = self.should_exit or done or spent_s >= MOST_DRAIN_S
        if self._retiring_since_s is not None:
            spent_s = time.monotonic() - self._retiring_since_s
            done = not self.server_state.connections or (spent_s >= RETIRING_S and not self._service.in_flight)
            self.should_exit = self.should_exit or done or spent_s >= RETIRING_S + MOST_DRAIN_S
        return await super().on_tick(counter)


def serve(
    application: Application, listening: socket.socket, *, drain_s: float, tell_when_serving: int | None = None
) -> int:
    """Serve until a signal; return the exit code. See `DrainingServer` for the arguments."""
    server = DrainingServer(application, drain_s=drain_s, tell_when_serving=tell_when_serving)
    server.run(sockets=[listening])
    failure = application.service.failure
    if failure is not None:
        print(f"seqrank: {failure}", file=sys.stderr)
        return UNUSABLE
    return 0


def _config(asgi: Any) -> uvicorn.Config:
    return uvicorn.Config(
        asgi,
        loop=_loop_name(),
        http=ShortProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        # uvicorn reads it itself; without it no proxy is trusted, and looking for its headers would cost every request
        proxy_headers=bool(os.environ.get("FORWARDED_ALLOW_IPS")),
        backlog=BACKLOG,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=FORCED_AFTER_S,
    )


def _loop_name() -> Any:
    try:
        import uvloop  # noqa: F401
    except ImportError:
        return "asyncio"
    return "uvloop"
