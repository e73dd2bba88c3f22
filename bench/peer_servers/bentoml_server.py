"""BentoML with adaptive batching."""

from __future__ import annotations

from typing import Any

import bentoml

from bench.peer_servers.plain_ranker import PlainRanker


@bentoml.service(workers=1, traffic={"timeout": 30})
class Rank:
    """The ranker as a BentoML service."""

    def __init__(self) -> None:
        self.ranker = PlainRanker()

    @bentoml.api(route="/rank", batchable=True, max_batch_size=8, max_latency_ms=500)
    def rank(self, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Rank a batch."""
        return self.ranker.rank(requests)
