"""Notices that a client has left while its request is being answered."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from app.api.body import ClientLeft

if TYPE_CHECKING:
    from app.api.body import Receive


class ClientWatch:
    """Cancels the current task when its client disconnects; call `stop` when the answer is there."""

    def __init__(self, receive: Receive) -> None:
        """Begin to watch.

        Args:
            receive: ASGI's, after the whole body was read.
        """
        self._receive = receive
        self._watched = asyncio.current_task()
        self._gone = False
        self._watcher = asyncio.create_task(self._watch(), name="client-watch")

    def stop(self) -> None:
        """Stop watching."""
        self._watcher.cancel()

    def raise_if_gone(self) -> None:
        """Turn the cancellation that this watch caused into `ClientLeft`; do nothing about any other."""
        if self._gone and self._watched is not None:
            self._watched.uncancel()
            raise ClientLeft

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        if self._watched is not None:
            self._watched.cancel()
