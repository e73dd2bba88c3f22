"""``python -m app``: serve a bundle, or check that one could be served."""

from __future__ import annotations

import argparse
import faulthandler
import os
import signal
import socket
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from app.errors import UNUSABLE, SeqrankError

if TYPE_CHECKING:
    from app.settings import Settings

COMMANDS: Final = ("serve", "doctor")


def main(argv: list[str] | None = None) -> int:
    """Run; return the exit code: 0 done, 1 `doctor` found something, 2 it could not be done."""
    arguments = _parse(sys.argv[1:] if argv is None else argv)
    try:
        from app.settings import read_settings

        settings = read_settings(
            bundle=arguments.bundle, host=arguments.host, port=arguments.port, workers=arguments.workers
        )
        if arguments.command == "doctor":
            from app.doctor import examine

            return examine(settings)
        return _serve(settings, arguments.inherited_socket, arguments.tell_when_serving)
    except SeqrankError as error:
        print(f"seqrank: {error}", file=sys.stderr)
        return UNUSABLE
    except KeyboardInterrupt:
        return 130


def _serve(settings: Settings, inherited_socket: int | None, tell_when_serving: int | None) -> int:
    from app.listening import bind
    from app.start_checks import check_before_start

    check_before_start(settings)

    # a crash in native code says in which call of ours it happened, and no values
    faulthandler.enable()
    # process 1 of a container hears no signal that it has not asked for; nothing is open yet that has to be closed
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    is_worker = inherited_socket is not None
    listening = socket.socket(fileno=inherited_socket) if is_worker else bind(settings.host, settings.port)
    if settings.workers > 1 and not is_worker:
        from app.supervisor import supervise

        return supervise(settings, listening)
    from app import bundle_ahead

    # files are read later too, and must be this bundle's when the link that led to it leads to another
    settings = settings.model_copy(update={"bundle": settings.named_bundle().resolve()})
    opening = bundle_ahead.begin(settings)
    from app.main import create_app
    from app.observability.logs import configure
    from app.opening import open_serving

    configure(settings.log_level, settings.log_format)
    application = create_app(settings, partial(open_serving, opening=opening), accept_when_open=is_worker)
    if not is_worker:
        from app.announcement import announce

        announce(settings, listening)
    from app.server import serve

    return serve(application, listening, drain_s=settings.drain_s, tell_when_serving=tell_when_serving)


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m app",
        description="Serve a bundle over HTTP.",
        epilog="Everything else is set by SEQRANK_* variables; docs/operations.md lists them.",
    )
    parser.add_argument(
        "command", nargs="?", metavar="{serve,doctor}", default="serve",
        help="serve (the default), or doctor: check bundle, provider, Redis, clock and limits, and say what to do",
    )  # fmt: skip
    parser.add_argument("--bundle", type=Path, metavar="DIR", help="the bundle folder")
    parser.add_argument("--host", help="address to listen on, default 127.0.0.1")
    parser.add_argument("--port", type=int, help="TCP port, default 8000; 0 takes a free one")
    parser.add_argument("--workers", type=int, metavar="N", help="processes on the port, default 1")
    parser.add_argument("--inherited-socket", type=int, metavar="FD", help=argparse.SUPPRESS)
    parser.add_argument("--tell-when-serving", type=int, metavar="FD", help=argparse.SUPPRESS)
    arguments, unknown = parser.parse_known_args(argv)
    # argparse alone would take the value of a misspelt option for the command, and name that
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if arguments.command not in COMMANDS:
        parser.error(f"argument command: invalid choice: {arguments.command!r}, expected {' or '.join(COMMANDS)}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
