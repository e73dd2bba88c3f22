"""Replays a bundle's golden requests on the sessions that were got, and refuses what does not match."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from app.contract.tolerances import ENCODER_MIN_COSINE, REPLAY_SLACK, TIE_WIDTH, TOLERANCES, TOP_POSITIONS
from app.errors import BundleError, ScoringFailed

if TYPE_CHECKING:
    from app.contract.golden import Golden, GoldenRequest
    from app.contract.tensors import Float32Array
    from app.contract.tolerances import Tolerance
    from app.inference.onnx_item_encoder import OnnxItemEncoder
    from app.inference.onnx_ranker import OnnxRanker


@dataclass(frozen=True, slots=True)
class Replay:
    """How close the golden requests came.

    Attributes:
        requests: How many were replayed.
        texts: How many texts were encoded.
        max_score_error: Largest absolute difference from a golden score.
        top10_agreement: Mean share of the golden first ten that is the same.
        min_cosine: Smallest cosine of a text's vector with the golden one; 1.0 without texts.
        took_ms: Milliseconds.
    """

    requests: int
    texts: int
    max_score_error: float
    top10_agreement: float
    min_cosine: float
    took_ms: float


def replay(golden: Golden, precision: str, ranker: OnnxRanker, encoder: OnnxItemEncoder | None = None) -> Replay:
    """Score every golden request, encode every golden text, and compare with the tolerances of ``precision``.

    Args:
        golden: The bundle's golden requests.
        precision: The manifest's precision.
        ranker: The sessions that will serve.
        encoder: Texts are left out without it.

    Raises:
        BundleError: If a request or text misses its tolerance; it names the request and what differed.
    """
    started = time.perf_counter()
    tolerance = TOLERANCES[precision]
    errors, agreements = [], []
    for request in golden.requests:
        error, agreement = _replay_request(request, ranker, tolerance)
        errors.append(error)
        agreements.append(agreement)
    mean_agreement = float(np.mean(agreements))
    lowest = 1.0 - REPLAY_SLACK * (1.0 - tolerance.min_top10_agreement)
    if mean_agreement < lowest:
        worst = golden.requests[int(np.argmin(agreements))].name
        raise BundleError(
            f"golden requests agree with FP32 in {mean_agreement:.4f} of their first {TOP_POSITIONS}, expected "
            f"{lowest:.4f}; the worst is {worst!r} with {min(agreements):.2f}"
        )
    cosine = _replay_texts(golden, precision, encoder) if encoder is not None and golden.texts else 1.0
    return Replay(
        requests=len(golden.requests),
        texts=len(golden.texts) if encoder is not None else 0,
        max_score_error=max(errors),
        top10_agreement=mean_agreement,
        min_cosine=cosine,
        took_ms=(time.perf_counter() - started) * 1000.0,
    )


def top_agreement(expected_C: Float32Array, actual_C: Float32Array) -> float:
    """Return the share of the `TOP_POSITIONS` best of ``actual_C`` that belong there by ``expected_C``.

    A candidate belongs there when its expected score reaches the last of them less `TIE_WIDTH`: which of two equal
    candidates comes tenth is no disagreement.
    """
    count = min(TOP_POSITIONS, len(expected_C))
    threshold = np.partition(expected_C, -count)[-count] - TIE_WIDTH
    got = np.argsort(-actual_C, kind="stable")[:count]
    return float(np.mean(expected_C[got] >= threshold))


def _replay_request(request: GoldenRequest, ranker: OnnxRanker, tolerance: Tolerance) -> tuple[float, float]:
    batch = request.batch()
    try:
        scores_C = ranker.score(batch)[0]
        catalog_scores_C = ranker.score_catalog(batch.history)[0][request.candidate_rows_C]
    except (ScoringFailed, IndexError) as error:
        raise BundleError(f"golden request {request.name!r} cannot be scored: {error}") from error
    worst = 0.0
    for kind, expected_C, actual_C in (
        ("score", request.scores_C, scores_C),
        ("catalogue score", request.catalog_scores_C, catalog_scores_C),
    ):
        errors_C = np.abs(actual_C - expected_C)
        position = int(np.argmax(errors_C))
        worst = max(worst, float(errors_C[position]))
        if errors_C[position] > tolerance.max_score_error:
            raise BundleError(
                f"golden request {request.name!r}: the {kind} of candidate {position} is {actual_C[position]:.6f}, "
                f"expected {expected_C[position]:.6f} within {tolerance.max_score_error:g}"
            )
    return worst, top_agreement(request.scores_C, scores_C)


def _replay_texts(golden: Golden, precision: str, encoder: OnnxItemEncoder) -> float:
    least = ENCODER_MIN_COSINE[precision]
    try:
        actual_ND = encoder.encode([entry.text for entry in golden.texts])
    except ScoringFailed as error:
        raise BundleError(f"the golden texts cannot be encoded: {error}") from error
    lowest = 1.0
    for entry, actual_D in zip(golden.texts, actual_ND, strict=True):
        scale = float(np.linalg.norm(entry.vector_D) * np.linalg.norm(actual_D))
        cosine = (
            float(entry.vector_D @ actual_D) / scale if scale > 0 else float(np.array_equal(entry.vector_D, actual_D))
        )
        lowest = min(lowest, cosine)
        if cosine < least:
            raise BundleError(
                f"golden text {entry.text[:40]!r}: its vector has the cosine {cosine:.4f} with the FP32 one, "
                f"expected at least {least}"
            )
    return lowest
