"""Says at start where the service listens, and what is open to everybody."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from app.listening import address

if TYPE_CHECKING:
    import socket

    from app.settings import Settings

logger = logging.getLogger("seqrank")


def announce(settings: Settings, listening: socket.socket) -> None:
    """Log the address, and a warning if something is open."""
    host, port = listening.getsockname()[:2]
    extra = {"url": f"http://{address(host, port)}", "pid": os.getpid(), "workers": settings.workers}
    logger.info("listening", extra=extra)
    is_open = what_is_open(settings)
    if is_open is not None:
        logger.warning(is_open)


def what_is_open(settings: Settings) -> str | None:
    """Return what everyone who reaches the port may do without a key, in a sentence; None if that is nothing."""
    if settings.names_in("api_keys") or settings.api_keys_file is not None:
        return None
    if settings.names_in("admin_keys") or settings.admin_keys_file is not None:
        return (
            "admin keys are set, but no SEQRANK_API_KEYS: everyone who reaches the port may rank, send feedback and "
            "read any user's history; only deleting users and changing items needs a key"
        )
    return (
        "no SEQRANK_API_KEYS are set: everyone who reaches the port may rank, send feedback, read and delete users, "
        "and add, change and delete items"
    )
