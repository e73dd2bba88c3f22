"""A bundle whose scores are not its golden ones is refused, and the sentence says which request and what differed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from app.contract.tolerances import FP32
from app.errors import BundleError
from app.inference.bundle import Bundle, open_bundle
from app.inference.certificate import replay, top_agreement

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from app.contract.golden import Golden, GoldenRequest


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    """Return the tiny bundle, opened."""
    return open_bundle(tiny_bundle, provider="cpu")


def altered(golden: Golden, change: Callable[[GoldenRequest], GoldenRequest]) -> Golden:
    """Return golden requests of which the third was changed."""
    requests = list(golden.requests)
    requests[2] = change(requests[2])
    return replace(golden, requests=tuple(requests))


def test_the_published_bundle_matches_its_certificate(bundle: Bundle) -> None:
    """Opening replays every request and text."""
    found = bundle.replay_golden()
    assert (found.requests, found.texts, found.top10_agreement) == (4, 3, 1.0)
    assert found.max_score_error <= FP32.max_score_error


def test_a_score_off_by_more_than_its_tolerance_is_named(bundle: Bundle) -> None:
    """The sentence names the request, the candidate and both scores."""
    golden = altered(bundle.golden, lambda request: replace(
        request, scores_C=request.scores_C + np.where(np.arange(len(request.scores_C)) == 5, 0.01, 0).astype(np.float32)
    ))  # fmt: skip
    with pytest.raises(
        BundleError, match=r"golden request 'some history': the score of candidate 5 is .* within 0.0001"
    ):
        replay(golden, "fp32", bundle.ranker, bundle.encoder)


def test_a_score_just_beyond_its_tolerance_is_refused(bundle: Bundle) -> None:
    """Twice the tolerance is too much."""
    golden = altered(bundle.golden, lambda request: replace(request, scores_C=request.scores_C + np.float32(2e-4)))
    with pytest.raises(BundleError, match=r"within 0\.0001"):
        replay(golden, "fp32", bundle.ranker, bundle.encoder)


def test_a_catalogue_score_off_by_more_is_named(bundle: Bundle) -> None:
    """The retriever is held to the same tolerance."""
    golden = altered(bundle.golden, lambda request: replace(request, catalog_scores_C=request.catalog_scores_C + 0.5))
    with pytest.raises(BundleError, match="the catalogue score of candidate"):
        replay(golden, "fp32", bundle.ranker, bundle.encoder)


def test_another_order_is_refused_even_within_the_error(bundle: Bundle) -> None:
    """Wide score tolerances do not let another list through."""

    def shuffled(request: GoldenRequest) -> GoldenRequest:
        scores = np.random.default_rng(1).uniform(-0.4, 0.4, len(request.scores_C)).astype(np.float32)
        return replace(request, scores_C=request.scores_C + scores)

    golden = replace(bundle.golden, requests=tuple(shuffled(request) for request in bundle.golden.requests))
    with pytest.raises(BundleError, match="of their first 10"):
        replay(golden, "int8", bundle.ranker)


def test_a_text_with_another_vector_is_named(bundle: Bundle) -> None:
    """The encoder and its tokenizer are part of the certificate."""
    text = bundle.golden.texts[0]
    golden = replace(bundle.golden, texts=(replace(text, vector_D=-text.vector_D),))
    with pytest.raises(BundleError, match=r"golden text .red shoes number 3.: its vector has the cosine -1\.0000"):
        replay(golden, "fp32", bundle.ranker, bundle.encoder)


def test_a_grown_catalogue_is_no_drift(tiny_bundle: Path) -> None:
    """Items that were added or changed online do not touch the certificate: it is held to the published table."""
    bundle = open_bundle(tiny_bundle, provider="cpu")
    bundle.ranker.use_item_table(np.concatenate([bundle.item_table[:1], bundle.item_table[1:] + 1.0]))
    assert bundle.replay_golden().max_score_error <= FP32.max_score_error


def test_ties_at_the_tenth_place_are_no_disagreement() -> None:
    """Which of two equal candidates comes tenth does not matter; a better one that is missing does."""
    expected = np.array([9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0, -1], np.float32)
    tied = expected.copy()
    tied[9], tied[10] = -5, 0.5
    worse = expected.copy()
    worse[0], worse[11] = -9, 9
    assert (top_agreement(expected, tied), top_agreement(expected, worse)) == (1.0, 0.9)


def test_scores_closer_than_their_own_error_are_ties() -> None:
    """FP32 may exchange the tenth and the eleventh by rounding; a place that is lost by more counts."""
    expected_C = np.arange(20, 0, -1, dtype=np.float32)
    expected_C[10] = expected_C[9] - 1e-4
    swapped_C = expected_C.copy()
    swapped_C[[9, 10]] = swapped_C[[10, 9]]
    assert top_agreement(expected_C, swapped_C) == 1.0
    expected_C[10] = expected_C[9] - 1e-3
    assert top_agreement(expected_C, swapped_C) == pytest.approx(0.9)
