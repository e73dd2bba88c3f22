"""The hot read on a Redis Cluster, through redis-py's routing."""

from __future__ import annotations

import asyncio
from typing import Any

from app.errors import StorageUnavailable
from app.storage.redis_failures import FAILURES, storage_failure


class ClusterReader:
    """Reads two keys of one slot from the node that owns it; the same promise as `PipelinedReader`.

    redis-py drops a connection whose reply was not awaited, so a caller that leaves never shifts a reply.

    Attributes:
        stalls: Always 0: redis-py does not tell.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self.stalls = 0

    async def get_two(self, first: bytes, second: bytes, *, timeout_s: float) -> tuple[bytes | None, bytes | None]:
        """Return the values of two string keys of one slot in one round trip; None where there is none.

        Raises:
            StorageUnavailable: If they did not come within ``timeout_s``.
        """
        try:
            async with asyncio.timeout(timeout_s):
                values = await self._client.mget(first, second)
        except FAILURES as error:
            raise storage_failure(error, doing="read from the Redis Cluster") from error
        if len(values) != 2:  # noqa: PLR2004 -- two keys, two values
            raise StorageUnavailable("could not read from the Redis Cluster: the reply has another shape")
        return values[0], values[1]

    async def ping(self, *, timeout_s: float) -> None:
        """Return when every primary has answered.

        Raises:
            StorageUnavailable: If one did not within ``timeout_s``.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._client.ping(target_nodes=self._client.PRIMARIES)
        except FAILURES as error:
            raise storage_failure(error, doing="reach the Redis Cluster") from error

    async def close(self) -> None:
        """Do nothing: the client is closed by who opened it."""
