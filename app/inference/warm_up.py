"""Measures the model on this machine before the first request, and chooses how requests become runs."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np

from app.contract.encoding import EncodedHistory, pack_histories
from app.inference.batch_layout import BatchLayout, Question
from app.inference.batch_policy import BatchPolicy
from app.inference.latency_predictor import LatencyCurve

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.inference.micro_batcher import RankingModel

BatchingChoice: TypeAlias = Literal["auto", "off", "on"]

CURVE_CELLS: Final = (10, 100, 500, 2000)
"""Candidates of the measured runs."""

RUNS: Final = 5
"""Of each measured point; the median counts."""

BATCH_SIZES: Final = (1, 2, 4, 8, 16, 32)
CANDIDATE_BUCKETS: Final = (16, 32, 64, 128, 256, 512, 1024, 2048)
WORTH_BATCHING: Final = 0.7
"""A batch has to cost less than this share of the same requests one by one, or it is not worth its wait."""

INLINE_LIMIT_S: Final = 0.002
"""The longest that the event loop may be held by one run: the way to a thread and back costs 0.1 to 0.4 ms."""


SHORT_RUN_S: Final = 0.001
"""A run that is expected to be shorter stays on the event loop also under load: handing it over costs 0.2 ms of
processor time then, for threads that take the interpreter lock from each other, and saves the loop less than 1 ms."""


@dataclass(frozen=True, slots=True)
class WarmUp:
    """What was measured, and what was chosen.

    Attributes:
        curve: Seconds of a run of one request, by candidates.
        catalog_curve: Seconds of a whole-catalogue run; one point.
        policy: The choice.
    """

    curve: LatencyCurve
    catalog_curve: LatencyCurve
    policy: BatchPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUpPlan:
    """What to measure with.

    Attributes:
        rows: Rows of the item table.
        history_length: Events of the measured requests, the longest that the model takes.
        on_gpu: Whether runs are on a GPU, where one worker with batches is the only sensible choice.
        cores: Processors that this process may use.
        workers: Threads that run the model, or 0 for the measured choice.
        batching: ``on``, ``off``, or ``auto`` for the measured choice.
        max_candidates: The longest request.
        handoff_s: What the way to a thread and back costs; see `app.inference.worker_threads.handoff_s`.
    """

    rows: int
    history_length: int
    on_gpu: bool
    cores: int
    workers: int = 0
    batching: BatchingChoice = "auto"
    max_candidates: int = 2000
    handoff_s: float = 0.0


def warm_up(model: RankingModel, plan: WarmUpPlan) -> WarmUp:
    """Run the model until its times are known. Takes a fraction of a second on a small model."""
    sizes = sorted({min(cells, plan.max_candidates) for cells in CURVE_CELLS})
    questions = [_question(plan, size) for size in sizes]
    single = BatchLayout()
    for question in (questions[-1], questions[0]):
        model.score(single.pack([question]))
    seconds = [_median_s(lambda asked=question: model.score(single.pack([asked]))) for question in questions]  # type: ignore[misc]
    curve = LatencyCurve.through(sizes, seconds)
    history = pack_histories([questions[0].history])
    model.score_catalog(history)
    catalog_curve = LatencyCurve((1,), (_median_s(lambda: model.score_catalog(history), runs=2),))
    return WarmUp(curve, catalog_curve, _choose(model, plan, curve))


def usable_cores() -> int:
    """Return the processors that this process may use: its affinity, and its container's quota."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text("ascii").split()
        limit = math.ceil(int(quota) / int(period))
    except (OSError, ValueError):
        return affinity
    return max(1, min(affinity, limit))


def _choose(model: RankingModel, plan: WarmUpPlan, curve: LatencyCurve) -> BatchPolicy:
    workers = plan.workers or (1 if plan.on_gpu else plan.cores)
    measured: dict[str, Any] = {
        "single_run_ms": {
            str(cells): round(seconds * 1000.0, 3) for cells, seconds in zip(curve.cells, curve.seconds, strict=True)
        }
    }
    by_setting = bool(plan.workers) or plan.batching != "auto"
    chosen_by = "setting" if by_setting else "measured"
    unbatched = BatchPolicy(
        workers=workers,
        inline_below_s=0.0 if plan.on_gpu else INLINE_LIMIT_S,
        handoff_s=max(plan.handoff_s, SHORT_RUN_S),
        chosen_by=chosen_by,
        measured=measured,
    )
    if plan.batching == "off":
        return unbatched
    buckets, measured["batch_run_ms"] = _batch_sizes(model, plan)
    if len(buckets) == 1 or (plan.batching == "auto" and not _pays(measured["batch_run_ms"], buckets)):
        return unbatched
    return replace(unbatched, layout=_layout(plan, buckets), max_batch=buckets[-1], max_cells=buckets[-1] * 512)


def _layout(plan: WarmUpPlan, batch_buckets: tuple[int, ...]) -> BatchLayout:
    """Return the shapes of batches: few on a GPU, so that its memory stays flat; without padding on a CPU."""
    if plan.on_gpu:
        return BatchLayout(CANDIDATE_BUCKETS, (plan.history_length,), batch_buckets)
    return BatchLayout(batch_buckets=batch_buckets)


def _batch_sizes(model: RankingModel, plan: WarmUpPlan) -> tuple[tuple[int, ...], dict[str, float]]:
    """Return the batch sizes whose scores are bit-equal to those of a request on its own, and the time of each run."""
    question = _question(plan, min(100, plan.max_candidates))
    kept: list[int] = []
    run_ms: dict[str, float] = {}
    alone_C = None
    for size in BATCH_SIZES:
        layout = _layout(plan, (size,))
        batch = layout.pack([question])
        scores_C = layout.unpack(model.score(batch), [question])[0]
        alone_C = scores_C if alone_C is None else alone_C
        if not np.array_equal(scores_C, alone_C):
            continue
        kept.append(size)
        run_ms[str(size)] = round(_median_s(lambda packed=batch: model.score(packed), runs=3) * 1000.0, 3)  # type: ignore[misc]
    return tuple(kept), run_ms


def _pays(run_ms: dict[str, float], buckets: tuple[int, ...]) -> bool:
    return any(run_ms[str(size)] < WORTH_BATCHING * size * run_ms["1"] for size in buckets[1:])


def _question(plan: WarmUpPlan, candidates: int) -> Question:
    """Return a request with a full history, spread over the whole item table as real ones are."""
    generator = np.random.default_rng(0)
    events = plan.history_length
    top = max(plan.rows, 2)
    history = EncodedHistory(
        rows_H=generator.integers(1, top, events),
        actions_H=np.zeros(events, np.int64),
        age_s_H=np.sort(generator.uniform(0, 1e6, events).astype(np.float32))[::-1].copy(),
    )
    return Question(history, generator.integers(1, top, candidates))


def _median_s(run: Callable[[], object], *, runs: int = RUNS) -> float:
    seconds = []
    for _ in range(runs):
        started_s = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started_s)
    return float(np.median(seconds))
