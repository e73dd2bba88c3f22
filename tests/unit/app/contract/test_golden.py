"""What ``golden.json`` may hold."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from app.contract.golden import Golden, GoldenRequest, GoldenText, golden_from
from app.contract.manifest import Manifest, read_manifest
from app.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def manifest(tiny_bundle: Path) -> Manifest:
    """Return the manifest that golden requests must fit."""
    return read_manifest(tiny_bundle)


def raw_request(**changes: Any) -> dict[str, Any]:
    """Return parsed content of one request that is accepted, with changes."""
    content: dict[str, Any] = {
        "name": "one", "history_rows": [3, 4], "history_actions": [0, 2], "history_age_s": [9.5, 0],
        "candidate_rows": [1, 200], "scores": [0.25, -3], "catalog_scores": [1.5, 2.5],
    }  # fmt: skip
    return content | changes


def test_golden_scores_survive_writing_and_reading_bit_by_bit(manifest: Manifest) -> None:
    """JSON loses nothing of a float32."""
    random = np.random.default_rng(0)
    scores = random.normal(size=20).astype(np.float32)
    request = GoldenRequest(
        name="x", history_rows_H=np.array([1]), history_actions_H=np.array([0]),
        history_age_s_H=np.array([0.1], np.float32), candidate_rows_C=np.arange(1, 21), scores_C=scores,
        catalog_scores_C=scores[::-1],
    )  # fmt: skip
    text = GoldenText("漢字 🙂", random.normal(size=manifest.vector_width).astype(np.float32))
    read = golden_from(json.loads(Golden((request,), (text,)).to_json()), manifest)
    assert (scores.tobytes(), text.vector_D.tobytes(), text.text) == (
        read.requests[0].scores_C.tobytes(), read.texts[0].vector_D.tobytes(), read.texts[0].text,
    )  # fmt: skip


def test_an_empty_history_is_padded_to_one_event() -> None:
    """A cold user's request still has a history axis, as the graph wants it."""
    none = np.zeros(0, np.int64)
    scores = np.zeros(1, np.float32)
    request = GoldenRequest("cold", none, none, scores[:0], np.array([5]), scores, scores)
    assert request.batch().history.rows_BH.tolist() == [[0]]


@pytest.mark.parametrize(
    "changes",
    [
        {"name": 5}, {"history_rows": [3]}, {"history_rows": [201, 1]}, {"history_rows": [-1, 1]},
        {"history_rows": [1.0, 2]}, {"history_rows": [True, 2]}, {"history_actions": [0, 3]}, {"history_age_s": [1]},
        {"history_age_s": [-1, 0]}, {"history_age_s": [1e39, 0]}, {"history_age_s": ["1", 0]}, {"candidate_rows": []},
        {"candidate_rows": [1]}, {"scores": None}, {"scores": [1, True]}, {"catalog_scores": [1]},
        {"history_rows": [1] * 51, "history_actions": [0] * 51, "history_age_s": [0] * 51},
    ],
)  # fmt: skip
def test_a_request_that_does_not_fit_the_manifest_is_named(manifest: Manifest, changes: dict[str, Any]) -> None:
    """The sentence names the file and the position of the request."""
    with pytest.raises(BundleError, match=r"golden\.json: requests\[1\]"):
        golden_from({"requests": [raw_request(), raw_request(**changes)]}, manifest)


@pytest.mark.parametrize("raw", [[], None, {}, {"requests": []}, {"requests": {}}, {"requests": [1]}])
def test_a_file_without_requests_is_refused(manifest: Manifest, raw: Any) -> None:
    """A certificate of nothing proves nothing."""
    with pytest.raises(BundleError, match=r"golden\.json"):
        golden_from(raw, manifest)


@pytest.mark.parametrize("text", [{"text": 5, "vector": []}, {"text": "a", "vector": [1.0]}, {"text": "a"}, "a"])
def test_a_text_without_a_vector_of_the_right_width_is_named(manifest: Manifest, text: Any) -> None:
    """The sentence names the position of the text."""
    with pytest.raises(BundleError, match=r"golden\.json: texts\[0\]"):
        golden_from({"requests": [raw_request()], "texts": [text]}, manifest)
