"""What the event loop reports of errors that nobody awaited."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio


def install(loop: asyncio.AbstractEventLoop) -> None:
    """Let the loop report what is news, and nothing that its caller has been told already.

    When a connect runs out of time, uvloop forgets that it was looking up the host's name; once the lookup has failed
    too, that failure would be reported as never retrieved, with no name of what was tried.
    """
    loop.set_exception_handler(_report)


def _report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    if not isinstance(context.get("exception"), socket.gaierror):
        loop.default_exception_handler(context)
