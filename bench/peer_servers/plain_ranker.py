"""The straightforward ranker that every peer serves: history from a Redis list of JSON, one `session.run`, a sort."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pyarrow.parquet as pq
import redis

from app.contract.encoding import EncodedHistory, encode_history, pack_histories
from app.contract.manifest import ITEM_TABLE_FILE, ITEMS_FILE, RANKER_FILE, read_manifest

HISTORY_KEY = "peer:{user}:events"


class PlainRanker:
    """Ranks one request, or several in one model call; configured by ``PEER_BUNDLE`` and ``PEER_REDIS_URL``."""

    def __init__(self) -> None:
        bundle = Path(os.environ["PEER_BUNDLE"])
        self.history_length = read_manifest(bundle).history_length
        ids = pq.read_table(bundle / ITEMS_FILE, columns=["item_id"])["item_id"].to_pylist()
        self.row_of = {item: row for row, item in enumerate(ids, 1)}
        self.table = np.load(bundle / ITEM_TABLE_FILE)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(bundle / RANKER_FILE), options)
        self.redis = redis.Redis.from_url(os.environ["PEER_REDIS_URL"])

    def history(self, user: str) -> EncodedHistory:
        """Read and encode the user's events."""
        events = [json.loads(line) for line in self.redis.lrange(HISTORY_KEY.format(user=user), 0, -1)]
        rows = np.array([self.row_of.get(event["item"], 0) for event in events], np.int64)
        times = np.array([event["timestamp"] for event in events], np.int64)
        return encode_history(
            rows,
            np.zeros(len(rows), np.int64),
            times,
            now_ms=int(time.time() * 1000),
            history_length=self.history_length,
        )

    def rank(self, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Rank requests together in one call of the model; candidates are padded to the longest."""
        history = pack_histories([self.history(request["user"]) for request in requests])
        longest = max(len(request["items"]) for request in requests)
        candidates = np.zeros((len(requests), longest), np.int64)
        for position, request in enumerate(requests):
            candidates[position, : len(request["items"])] = [self.row_of.get(item, 0) for item in request["items"]]
        scores = self.session.run(
            ["scores"],
            {
                "item_table": self.table,
                "history_rows": history.rows_BH,
                "history_actions": history.actions_BH,
                "history_age_s": history.age_s_BH,
                "candidate_rows": candidates,
            },
        )[0]
        return [self._answer(request, row) for request, row in zip(requests, scores, strict=True)]

    @staticmethod
    def _answer(request: dict[str, Any], scores: np.ndarray[Any, Any]) -> dict[str, Any]:
        items = request["items"]
        order = np.argsort(-scores[: len(items)], kind="stable")[: request.get("top_k", 20)]
        ranked = [
            {"item": items[position], "index": int(position), "score": float(scores[position]), "rank": rank}
            for rank, position in enumerate(order, 1)
        ]
        return {"items": ranked}
