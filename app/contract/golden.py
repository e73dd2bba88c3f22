"""The bundle's ``golden.json``: requests with the scores of the FP32 model, replayed before a service is ready."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

import numpy as np

from app.contract.manifest import GOLDEN_FILE, Manifest
from app.contract.strict_json import read_strict_json
from app.contract.tensors import Float32Array, HistoryBatch, Int64Array, RankingBatch
from app.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path

MAX_GOLDEN_BYTES: Final = 64 << 20
MAX_REQUESTS: Final = 1_000
MAX_CANDIDATES: Final = 10_000
MAX_TEXT_CHARACTERS: Final = 100_000


@dataclass(frozen=True, slots=True)
class GoldenRequest:
    """One request as the graphs take it, and what FP32 answers.

    Attributes:
        name: What the request shows, for messages: ``cold user``, ``full history``, ...
        history_rows_H: ``int64[H]`` oldest first, may be empty.
        history_actions_H: ``int64[H]``.
        history_age_s_H: ``float32[H]``.
        candidate_rows_C: ``int64[C]``.
        scores_C: ``float32[C]`` of ``ranker.onnx`` in FP32.
        catalog_scores_C: ``float32[C]``, the entries of ``retriever.onnx`` in FP32 at the candidates' rows.
    """

    name: str
    history_rows_H: Int64Array
    history_actions_H: Int64Array
    history_age_s_H: Float32Array
    candidate_rows_C: Int64Array
    scores_C: Float32Array
    catalog_scores_C: Float32Array

    def batch(self) -> RankingBatch:
        """Return the request alone in a batch, its history padded to at least one event."""
        padding = 1 if len(self.history_rows_H) == 0 else 0
        history = HistoryBatch(
            rows_BH=np.pad(self.history_rows_H, (0, padding))[None],
            actions_BH=np.pad(self.history_actions_H, (0, padding))[None],
            age_s_BH=np.pad(self.history_age_s_H, (0, padding))[None],
        )
        return RankingBatch(history=history, candidate_rows_BC=self.candidate_rows_C[None])


@dataclass(frozen=True, slots=True)
class GoldenText:
    """One text and its vector ``float32[D]`` from the FP32 encoder."""

    text: str
    vector_D: Float32Array


@dataclass(frozen=True, slots=True)
class Golden:
    """Everything that a bundle is held to; at least one request."""

    requests: tuple[GoldenRequest, ...]
    texts: tuple[GoldenText, ...] = ()

    def to_json(self) -> str:
        """Return the text of ``golden.json``; every float32 survives the way there and back."""
        requests = [
            {
                "name": request.name,
                "history_rows": request.history_rows_H.tolist(),
                "history_actions": request.history_actions_H.tolist(),
                "history_age_s": request.history_age_s_H.tolist(),
                "candidate_rows": request.candidate_rows_C.tolist(),
                "scores": request.scores_C.tolist(),
                "catalog_scores": request.catalog_scores_C.tolist(),
            }
            for request in self.requests
        ]
        texts = [{"text": entry.text, "vector": entry.vector_D.tolist()} for entry in self.texts]
        return json.dumps({"requests": requests, "texts": texts}, ensure_ascii=False, allow_nan=False) + "\n"


def read_golden(bundle: Path, manifest: Manifest) -> Golden:
    """Read and check ``golden.json``.

    Raises:
        BundleError: If it is missing, no JSON, empty, or an entry does not fit the manifest (rows, actions, lengths).
    """
    return golden_from(read_strict_json(bundle / GOLDEN_FILE, max_bytes=MAX_GOLDEN_BYTES), manifest)


def golden_from(raw: object, manifest: Manifest) -> Golden:
    """Check the parsed content of ``golden.json`` and return it typed. See `read_golden`."""
    if not isinstance(raw, dict):
        _refuse("the content", f"is {type(raw).__name__}, expected an object")
    requests, texts = raw.get("requests"), raw.get("texts", [])
    if not isinstance(requests, list) or not 1 <= len(requests) <= MAX_REQUESTS:
        _refuse("requests", f"is no array of 1 to {MAX_REQUESTS} requests")
    if not isinstance(texts, list) or len(texts) > MAX_REQUESTS:
        _refuse("texts", f"is no array of at most {MAX_REQUESTS} texts")
    return Golden(
        requests=tuple(_request(entry, f"requests[{index}]", manifest) for index, entry in enumerate(requests)),
        texts=tuple(_text(entry, f"texts[{index}]", manifest) for index, entry in enumerate(texts)),
    )


def _request(entry: object, where: str, manifest: Manifest) -> GoldenRequest:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        _refuse(where, "is no object with a name")
    history = manifest.history_length
    rows = _whole_numbers(entry, "history_rows", where, longest=history, highest=manifest.item_count)
    actions = _whole_numbers(entry, "history_actions", where, longest=history, highest=len(manifest.actions) - 1)
    ages = _numbers(entry, "history_age_s", where, longest=history)
    candidates = _whole_numbers(entry, "candidate_rows", where, longest=MAX_CANDIDATES, highest=manifest.item_count)
    scores = _numbers(entry, "scores", where, longest=MAX_CANDIDATES)
    catalog_scores = _numbers(entry, "catalog_scores", where, longest=MAX_CANDIDATES)
    if not len(rows) == len(actions) == len(ages):
        _refuse(where, f"has {len(rows)} rows, {len(actions)} actions and {len(ages)} ages in its history")
    if not len(candidates) == len(scores) == len(catalog_scores) or len(candidates) == 0:
        _refuse(where, f"has {len(candidates)} candidates, {len(scores)} and {len(catalog_scores)} scores")
    if (ages < 0).any():
        _refuse(where, "has a negative age")
    return GoldenRequest(str(entry["name"])[:128], rows, actions, ages, candidates, scores, catalog_scores)


def _text(entry: object, where: str, manifest: Manifest) -> GoldenText:
    if not isinstance(entry, dict) or not isinstance(entry.get("text"), str):
        _refuse(where, "is no object with a text")
    if len(entry["text"]) > MAX_TEXT_CHARACTERS:
        _refuse(where, f"has {len(entry['text'])} characters, expected at most {MAX_TEXT_CHARACTERS}")
    vector = _numbers(entry, "vector", where, longest=manifest.vector_width)
    if len(vector) != manifest.vector_width:
        _refuse(where, f"has {len(vector)} numbers in its vector, expected {manifest.vector_width}")
    return GoldenText(entry["text"], vector)


def _whole_numbers(entry: dict[str, Any], key: str, where: str, *, longest: int, highest: int) -> Int64Array:
    values = _array(entry, key, where, longest)
    if not all(type(value) is int and 0 <= value <= highest for value in values):
        _refuse(f"{where}.{key}", f"has an entry that is no whole number from 0 to {highest}")
    return np.asarray(values, np.int64)


def _numbers(entry: dict[str, Any], key: str, where: str, *, longest: int) -> Float32Array:
    values = _array(entry, key, where, longest)
    largest = float(np.finfo(np.float32).max)
    if not all(type(value) in (int, float) and abs(value) <= largest for value in values):
        _refuse(f"{where}.{key}", "has an entry that is no float32")
    return np.asarray(values, np.float64).astype(np.float32)


def _array(entry: dict[str, Any], key: str, where: str, longest: int) -> list[Any]:
    values = entry.get(key)
    if not isinstance(values, list) or len(values) > longest:
        _refuse(f"{where}.{key}", f"is no array of at most {longest} numbers")
    return values


def _refuse(where: str, what: str) -> NoReturn:
    raise BundleError(f"{GOLDEN_FILE}: {where} {what}")
