"""A cluster client whose commands wait for a connection instead of failing."""

from __future__ import annotations

import asyncio
from typing import Any

from redis.asyncio import RedisCluster


class QueuingCluster(RedisCluster):
    """redis-py's cluster client raises when a node's connections are all in use; here commands line up for them.

    Args:
        max_connections: Connections to each node, and commands under way at once.
        **options: As `redis.asyncio.RedisCluster` takes them.
    """

    def __init__(self, *, max_connections: int, **options: Any) -> None:
        # Pipelines do not pass the gate; each uses one connection a node, so there are some to spare.
        super().__init__(max_connections=2 * max_connections, **options)
        self._gate = asyncio.Semaphore(max_connections)

    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        """Send one command when its turn has come."""
        async with self._gate:
            return await super().execute_command(*args, **kwargs)
