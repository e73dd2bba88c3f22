"""Ray Serve with `serve.batch`, one replica."""

from __future__ import annotations

import sys
import time
from typing import Any

from ray import serve
from starlette.requests import Request  # noqa: TC002 -- Ray reads the annotation

from bench.peer_servers.plain_ranker import PlainRanker


@serve.deployment(num_replicas=1, max_ongoing_requests=200, logging_config={"enable_access_log": False})
class Rank:
    """The ranker as a deployment."""

    def __init__(self) -> None:
        self.ranker = PlainRanker()

    @serve.batch(max_batch_size=8, batch_wait_timeout_s=0.002)
    async def rank(self, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Rank a batch."""
        return self.ranker.rank(requests)

    async def __call__(self, request: Request) -> Any:
        """Answer one HTTP request."""
        return await self.rank(await request.json())


if __name__ == "__main__":
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])}, logging_config={"log_level": "ERROR"})
    serve.run(Rank.bind(), route_prefix="/rank")
    while True:
        time.sleep(3600)
