"""Listens on the service's address, before anything heavy is loaded."""

from __future__ import annotations

import socket
from typing import Final

from app.errors import InvalidSetting

BACKLOG: Final = 2048


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
    except OSError as error:
        raise InvalidSetting(
            f"{host}:{port} cannot be listened on: {error.strerror or error}; "
            "--host and --port (or SEQRANK_HOST and SEQRANK_PORT) name another address"
        ) from error
    listening.set_inheritable(True)
    return listening
