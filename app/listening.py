"""Listens on the service's address, before anything heavy is loaded."""

from __future__ import annotations

import socket
from typing import Final

from app.errors import InvalidSetting

BACKLOG: Final = 2048


def address(host: str, port: int) -> str:
    """Return how a URL writes an address.

    >>> address("localhost", 8000), address("::1", 8000)
    ('localhost:8000', '[::1]:8000')
    """
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        InvalidSetting: If the address cannot be listened on.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
            listening.listen(BACKLOG)
        except OSError:
            listening.close()
            raise
    except (OSError, UnicodeError) as error:  # a name like "a..b" is none at all
        reason = getattr(error, "strerror", None) or error
        raise InvalidSetting(
            f"{address(host, port)} cannot be listened on: {reason}; "
            "--host and --port (or SEQRANK_HOST and SEQRANK_PORT) name another address"
        ) from error
    listening.set_inheritable(True)
    return listening
