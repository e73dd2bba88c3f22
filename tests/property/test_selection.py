"""The fast selection code against obvious slow versions."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from app.selection.caps import OpenPlaces
from app.selection.diversity import LOG_RESIDUAL_WEIGHT, diverse_positions
from app.selection.top_k import top_k_positions

few_values = st.sampled_from([-np.inf, -1.5, 0.0, 0.25, 1.0, 3.0])


@given(scores=arrays(np.float32, st.integers(0, 60), elements=few_values), k=st.integers(1, 70))
def test_top_k_is_a_stable_sort(scores, k) -> None:
    """Few candidates, many ties: the result is Python's stable sort, cut."""
    slow = sorted(range(len(scores)), key=lambda position: -scores[position])[:k]
    assert top_k_positions(scores, k).tolist() == slow


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 3000), distinct=st.integers(1, 4000))
def test_partitioned_top_k_is_a_stable_sort(seed, k, distinct) -> None:
    """Thousands of candidates with any number of ties: the partition gives what the full stable sort gives."""
    scores = np.random.default_rng(seed).integers(0, distinct, 3000).astype(np.float32)
    assert top_k_positions(scores, k).tolist() == np.argsort(-scores, kind="stable")[:k].tolist()


def _scaled(scores):
    """Return the scores moved and stretched to 0..1."""
    low, high = scores.min(), scores.max()
    return np.array([(score - low) / (high - low) if high > low else 0.0 for score in scores])


def _slow_dpp(scores, vectors, k, diversity):
    """Choose greedily by the determinant of the whole kernel of each trial list; list by score."""
    relevance = _scaled(scores)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    kernel = (1 + unit.astype(np.float64) @ unit.T.astype(np.float64)) / 2
    chosen: list[int] = []
    for _ in range(min(k, len(scores))):
        best, best_value = -1, -np.inf
        for candidate in range(len(scores)):
            if candidate in chosen:
                continue
            trial = [*chosen, candidate]
            log_volume = np.linalg.slogdet(kernel[np.ix_(trial, trial)])[1]
            value = (1 - diversity) * relevance[trial].sum() + diversity * LOG_RESIDUAL_WEIGHT * log_volume
            if value > best_value:
                best, best_value = candidate, value
        chosen.append(best)
    return sorted(chosen, key=lambda candidate: -scores[candidate])


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 14), k=st.integers(1, 8), diversity=st.floats(0, 0.99))
def test_dpp_is_greedy_on_the_determinant(seed, count, k, diversity) -> None:
    """The incremental factor chooses what recomputing every determinant chooses."""
    rng = np.random.default_rng(seed)
    scores, vectors = rng.normal(size=count), rng.normal(size=(count, 24)).astype(np.float32)
    fast = diverse_positions(scores, vectors, k, diversity=diversity).tolist()
    assert fast == _slow_dpp(scores, vectors, k, diversity)


def _slow_mmr(scores, vectors, k, diversity):
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled = _scaled(scores)
    chosen: list[int] = []
    while len(chosen) < min(k, len(scores)):
        left = [candidate for candidate in range(len(scores)) if candidate not in chosen]
        gain = {
            candidate: (1 - diversity) * scaled[candidate]
            - diversity * max((float(unit[candidate] @ unit[other]) for other in chosen), default=0.0)
            for candidate in left
        }
        chosen.append(max(left, key=lambda candidate: gain[candidate]))
    return sorted(chosen, key=lambda candidate: -scores[candidate])


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 14), k=st.integers(1, 8), diversity=st.floats(0, 0.99))
def test_mmr_is_the_textbook_loop(seed, count, k, diversity) -> None:
    """The vectorised MMR chooses what the plain double loop chooses."""
    rng = np.random.default_rng(seed)
    scores, vectors = rng.normal(size=count), rng.normal(size=(count, 24)).astype(np.float32)
    fast = diverse_positions(scores, vectors, k, diversity=diversity, method="mmr").tolist()
    assert fast == _slow_mmr(scores, vectors, k, diversity)


@given(
    labels=st.lists(st.tuples(st.sampled_from(["", "a", "b"]), st.sampled_from(["x", "y", "z"])), max_size=30),
    most=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    k=st.integers(1, 30),
)
def test_caps_are_a_counting_loop(labels, most, k) -> None:
    """Filling open places takes what a loop that counts each label takes."""
    columns = {"category": [first for first, _ in labels], "brand": [second for _, second in labels]}
    max_per = {"category": most[0], "brand": most[1]}
    counted: dict[tuple[str, str], int] = {}
    slow = []
    for position in range(len(labels)):
        groups = [(column, columns[column][position]) for column in columns if columns[column][position]]
        if len(slow) < k and all(counted.get(group, 0) < max_per[group[0]] for group in groups):
            slow.append(position)
            for group in groups:
                counted[group] = counted.get(group, 0) + 1
    assert OpenPlaces(columns, max_per, count=len(labels)).fill(range(len(labels)), k) == slow
