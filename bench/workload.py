"""Users with histories and requests with candidates, drawn from a bundle's own catalogue."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq

from app.contract.encoding import encode_history, pack_histories
from app.contract.manifest import ITEMS_FILE, read_manifest
from app.contract.tensors import CANDIDATE_ROWS, HISTORY_ACTIONS, HISTORY_AGE_S, HISTORY_ROWS
from bench.http_load import post_bytes

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

DAY_MS = 86_400_000


class Workload:
    """A seeded stream of requests over one bundle.

    Args:
        bundle: The bundle's folder.
        users: How many users get a history.
        events: How many events each of them has.
        seed: Of everything that is drawn.
    """

    def __init__(self, bundle: Path, *, users: int = 64, events: int = 50, seed: int = 7) -> None:
        self.manifest = read_manifest(bundle)
        self.item_ids: list[str] = pq.read_table(bundle / ITEMS_FILE, columns=["item_id"])["item_id"].to_pylist()
        self.random = np.random.default_rng(seed)
        self.now_ms = int(time.time() * 1000)
        self.users = [f"bench-{number}" for number in range(users)]
        self.events = events
        self.histories = {
            user: (
                self.random.integers(1, len(self.item_ids) + 1, events),
                np.sort(self.now_ms - self.random.integers(1, 30 * DAY_MS, events)),
            )
            for user in self.users
        }

    def seed_histories(self, url: str) -> None:
        """Send every user's events to a service."""
        for user, (rows, timestamps_ms) in self.histories.items():
            body = [
                {"user": user, "item": self.item_ids[row - 1], "timestamp": int(timestamp)}
                for row, timestamp in zip(rows, timestamps_ms, strict=True)
            ]
            post_json(url + "/feedback", body)

    @staticmethod
    def forget(url: str, user: str) -> None:
        """Remove a user's events from a service."""
        request = urllib.request.Request(f"{url}/users/{user}", method="DELETE")  # noqa: S310
        with urllib.request.urlopen(request, timeout=30):  # noqa: S310
            pass

    def rank_requests(self, candidates: int, count: int = 256, **members: Any) -> list[bytes]:
        """Return the bytes of ``count`` requests of ``candidates`` distinct items each."""
        requests = []
        for number in range(count):
            rows = self.random.choice(len(self.item_ids), min(candidates, len(self.item_ids)), replace=False)
            body = {
                "user": self.users[number % len(self.users)],
                "items": [self.item_ids[row] for row in rows],
                "top_k": 20,
                **members,
            }
            requests.append(post_bytes("/rank", json.dumps(body).encode()))
        return requests

    def model_inputs(self, candidates: int, count: int = 64) -> list[dict[str, NDArray[Any]]]:
        """Return what ``ranker.onnx`` is fed for such requests, without the item table."""
        feeds: list[dict[str, NDArray[Any]]] = []
        for number in range(count):
            rows, timestamps_ms = self.histories[self.users[number % len(self.users)]]
            history = encode_history(
                rows,
                np.zeros(len(rows), np.int64),
                timestamps_ms,
                now_ms=self.now_ms,
                history_length=self.manifest.history_length,
            )
            packed = pack_histories([history])
            chosen = self.random.choice(len(self.item_ids), min(candidates, len(self.item_ids)), replace=False) + 1
            feeds.append(
                {
                    HISTORY_ROWS: packed.rows_BH,
                    HISTORY_ACTIONS: packed.actions_BH,
                    HISTORY_AGE_S: packed.age_s_BH,
                    CANDIDATE_ROWS: chosen[None].astype(np.int64),
                }
            )
        return feeds


def post_json(url: str, body: object) -> Any:
    """POST JSON to our own loopback service; return the parsed answer."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return json.loads(answer.read())


def get_json(url: str) -> Any:
    """GET JSON from our own loopback service."""
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310
        return json.loads(answer.read())


def get_text(url: str) -> str:
    """GET text from our own loopback service."""
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310
        return str(answer.read(), "utf-8")
