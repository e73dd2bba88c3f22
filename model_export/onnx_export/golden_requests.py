"""Chooses the requests and texts of ``golden.json`` and scores them with the trained module in FP32."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from app.contract.golden import Golden, GoldenRequest, GoldenText
from app.contract.tensors import Float32Array, Int64Array
from model_export.data.history_arrays import histories_of

if TYPE_CHECKING:
    from model_export.data.dataset import Dataset
    from model_export.data.splits import Targets
    from model_export.modeling.ranker import SequenceRanker
    from model_export.onnx_export.reference_model import ReferenceModel

CANDIDATES: Final = 100
REAL_HISTORIES: Final = 10
CATALOGUE_TEXTS: Final = 6
ODD_TEXTS: Final = ("", "漢字とかな、한국어, кириллица", "🙂👟🎮", "word " * 2_000)
"""Nothing, other scripts, emoji, and 10,000 characters."""

_TEN_YEARS_S: Final = 315_360_000.0
_SEED: Final = 20_260_101

History = tuple[Int64Array, Int64Array, Float32Array]


def golden_of(reference: ReferenceModel, data: Dataset, targets: Targets) -> Golden:
    """Return the golden requests and texts with the scores of the module in FP32.

    The requests hold what breaks first: no history, one event, events of one second, an event of ten years ago, an item
    twice, all actions, and real histories from the shortest to the longest. Each has candidates from its own history.

    Args:
        reference: The trained module.
        data: What it was trained on.
        targets: Whose histories to take, usually the test targets.
    """
    random = np.random.default_rng(_SEED)
    named = _made_up(reference.ranker, data.item_count) | _real(reference.ranker, data, targets)
    requests = [_request(reference, name, history, random, data.item_count) for name, history in named.items()]
    texts = data.item_texts()
    chosen = [texts[position] for position in np.linspace(0, len(texts) - 1, CATALOGUE_TEXTS).astype(int)]
    every = list(dict.fromkeys([*chosen, *ODD_TEXTS]))
    vectors_ND = reference.encode(every)
    return Golden(
        requests=tuple(requests),
        texts=tuple(GoldenText(text, vector_D) for text, vector_D in zip(every, vectors_ND, strict=True)),
    )


def _made_up(ranker: SequenceRanker, item_count: int) -> dict[str, History]:
    random = np.random.default_rng(_SEED + 1)
    length, actions = ranker.shape.history_length, ranker.shape.actions
    rows = random.integers(1, item_count + 1, length)
    ages = np.sort(random.exponential(86_400.0, length))[::-1]
    kinds = np.arange(length) % actions
    none = np.zeros(0, np.int64)
    one = slice(0, 1)
    histories = {
        "cold user": (none, none, np.zeros(0)),
        "one event just now": (rows[one], kinds[one], np.zeros(1)),
        "one event of ten years ago": (rows[one], kinds[one], np.full(1, _TEN_YEARS_S)),
        "all events in one second": (rows, kinds, np.full(length, 3_600.0)),
        "the same item again and again": (np.full(length, rows[0]), kinds, ages),
        "full history of all actions": (rows, kinds, ages),
    }
    return {name: (r, a.astype(np.int64), s.astype(np.float32)) for name, (r, a, s) in histories.items()}


def _real(ranker: SequenceRanker, data: Dataset, targets: Targets) -> dict[str, History]:
    lengths = targets.history_ends - data.user_offsets[targets.users]
    order = np.argsort(lengths, kind="stable")
    picked = np.unique(order[np.linspace(0, len(order) - 1, REAL_HISTORIES).astype(int)]) if len(order) else order
    found: dict[str, History] = {}
    for position in picked:
        one = targets.take(slice(int(position), int(position) + 1))
        history = histories_of(data, one, ranker.shape.history_length)
        length = int((history.rows_BH[0] > 0).sum())
        found[f"test user {int(one.users[0])} with {length} events"] = (
            history.rows_BH[0, :length],
            history.actions_BH[0, :length],
            history.age_s_BH[0, :length],
        )
    return found


def _request(
    reference: ReferenceModel, name: str, history: History, random: np.random.Generator, item_count: int
) -> GoldenRequest:
    rows_H, actions_H, age_s_H = history
    others = random.permutation(item_count)[:CANDIDATES] + 1
    known = np.unique(rows_H)[: CANDIDATES // 10]
    candidates_C = np.concatenate([known, others[~np.isin(others, known)]])[:CANDIDATES]
    unscored = GoldenRequest(
        name=name,
        history_rows_H=rows_H,
        history_actions_H=actions_H,
        history_age_s_H=age_s_H,
        candidate_rows_C=candidates_C,
        scores_C=np.zeros(0, np.float32),
        catalog_scores_C=np.zeros(0, np.float32),
    )
    batch = unscored.batch()
    return GoldenRequest(
        name=name,
        history_rows_H=rows_H,
        history_actions_H=actions_H,
        history_age_s_H=age_s_H,
        candidate_rows_C=candidates_C,
        scores_C=reference.score(batch.history, batch.candidate_rows_BC)[0],
        catalog_scores_C=reference.score_catalog(batch.history)[0][candidates_C],
    )
