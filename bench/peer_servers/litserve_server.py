"""LitServe with dynamic batching."""

# no postponed annotations: LitServe hands them to FastAPI, which would take the body for a query parameter
import sys
from typing import Any

import litserve as ls

from bench.peer_servers.plain_ranker import PlainRanker


class RankApi(ls.LitAPI):  # type: ignore[misc]
    """Rank what has come together within two milliseconds, at most eight requests."""

    def setup(self, device: str) -> None:
        """Load the model in the worker."""
        del device
        self.ranker = PlainRanker()

    def decode_request(self, request: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Pass the JSON on."""
        return request

    def predict(self, x: list[dict[str, Any]], **_: Any) -> list[dict[str, Any]]:
        """Rank a batch."""
        return self.ranker.rank(x)

    def encode_response(self, output: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Answer as it is."""
        return output


if __name__ == "__main__":
    server = ls.LitServer(
        RankApi(max_batch_size=8, batch_timeout=0.002, api_path="/rank"), accelerator="cpu", workers_per_device=1
    )
    server.run(port=int(sys.argv[1]), host="127.0.0.1", generate_client_file=False, log_level="error")
