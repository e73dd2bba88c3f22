"""Measures the model on this machine before the first request, and chooses how requests become runs."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass, replace
from functools import partial
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

COMPARED_RUNS: Final = 4
"""Where times are compared; the least counts, which a busy machine disturbs least."""

GPU_BATCH_SIZES: Final = (1, 2, 4, 8, 16, 32)
CPU_BATCH_SIZES: Final = tuple(range(1, 9))
"""Any number up to the last: on a CPU a run pays for every request that only fills it up."""

CANDIDATE_BUCKETS: Final = (16, 32, 64, 128, 256, 512, 1024, 2048)
FILLED_RUN_COSTS: Final = 1.5
"""Times of a lone run that a request may take on a GPU for sharing runs that are always filled up to one size."""

WORTH_BATCHING_ON_GPU: Final = 0.7
WORTH_BATCHING_ON_CPU: Final = 1.05
"""A batch has to cost less than this share of the same requests one by one. On a GPU it makes others wait. On a CPU it
forms of those that would wait anyway, and saves handoffs and what a run costs with cold caches, which is not seen
here: it must only not cost more."""

INLINE_LIMIT_S: Final = 0.004
"""The longest that the event loop may be held by one run: probes wait as long, and nobody else while a request is
alone. The way to a thread and back costs 0.1 to 0.4 ms."""

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

    def score(question: Question) -> None:
        model.score(single.pack([question]))

    for question in (questions[-1], questions[0]):
        score(question)
    seconds = [_median_s(plan, partial(score, question)) for question in questions]
    curve = LatencyCurve.through(sizes, seconds)
    history = pack_histories([questions[0].history])
    model.score_catalog(history)
    catalog_curve = LatencyCurve((1,), (_median_s(plan, partial(model.score_catalog, history), runs=2),))
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
        layout=_gpu_shapes(plan) if plan.on_gpu else BatchLayout(),
        inline_below_s=0.0 if plan.on_gpu else INLINE_LIMIT_S,
        handoff_s=max(plan.handoff_s, SHORT_RUN_S),
        chosen_by=chosen_by,
        measured=measured,
    )
    if plan.batching == "off":
        return unbatched
    layout = _batched_layout(model, plan)
    growth = _growth(model, plan, layout)
    measured["batch_growth"] = {
        str(size): round(times, 3) for size, times in zip(growth.cells, growth.seconds, strict=True)
    }
    worth = WORTH_BATCHING_ON_GPU if plan.on_gpu else WORTH_BATCHING_ON_CPU
    pays = any(times < worth * size for size, times in zip(growth.cells, growth.seconds, strict=True))
    largest = layout.batch_buckets[-1]
    if largest == 1 or (plan.batching == "auto" and not pays):
        return unbatched
    run_events, candidate_events = _run_events(model, plan)
    return replace(
        unbatched, layout=layout, max_batch=largest, max_cells=largest * 512, growth=growth,
        run_events=run_events, candidate_events=candidate_events,
    )  # fmt: skip


def _batched_layout(model: RankingModel, plan: WarmUpPlan) -> BatchLayout:
    """Return the shapes of batches, with those numbers of requests whose scores are bit-equal to lone requests'.

    On a CPU a run is as wide as its longest request if neighbours of other lengths change no bit, and shared by
    requests of one exact shape otherwise.
    """
    if plan.on_gpu:
        return _gpu_layout(model, plan)
    found = _equal_sizes(model, plan, BatchLayout((), (), CPU_BATCH_SIZES, pads_to_longest=True))
    return found if len(found.batch_buckets) > 1 else _equal_sizes(model, plan, BatchLayout((), (), CPU_BATCH_SIZES))


def _gpu_shapes(plan: WarmUpPlan) -> BatchLayout:
    """Return the few shapes of lone requests on a GPU: its memory stays flat."""
    return BatchLayout(CANDIDATE_BUCKETS, (plan.history_length,), (1,))


def _gpu_layout(model: RankingModel, plan: WarmUpPlan) -> BatchLayout:
    """Return the layout with the larger batches.

    A GPU's matrix products may round otherwise for another number of rows. Then no size gives the bits of a lone run,
    but runs that are always filled up to one size give a request the same bits whoever shares them.
    """
    lone = _gpu_shapes(plan)
    equal = _equal_sizes(model, plan, replace(lone, batch_buckets=GPU_BATCH_SIZES))
    question = _question(plan, min(100, plan.max_candidates))
    for size in reversed(GPU_BATCH_SIZES):
        if size <= equal.batch_buckets[-1]:
            break
        filled = replace(lone, batch_buckets=(size,))
        filled_s = _least_s(plan, partial(model.score, filled.pack([question])))
        lone_s = _least_s(plan, partial(model.score, lone.pack([question])))
        if filled_s <= FILLED_RUN_COSTS * lone_s and _neighbours_change_nothing(model, plan, filled):
            return filled
    return equal


def _neighbours_change_nothing(model: RankingModel, plan: WarmUpPlan, filled: BatchLayout) -> bool:
    """Tell whether requests get the same bits in a run of copies of themselves, and beside others at any place."""
    count = filled.batch_buckets[-1]
    questions = [_question(plan, min(100, plan.max_candidates), seed=place) for place in range(count)]
    among_copies = [filled.unpack(model.score(filled.pack([one])), [one])[0] for one in questions]
    for order in (1, -1):
        together = filled.unpack(model.score(filled.pack(questions[::order])), questions[::order])
        if not all(map(np.array_equal, together, among_copies[::order])):
            return False
    return True


def _equal_sizes(model: RankingModel, plan: WarmUpPlan, layout: BatchLayout) -> BatchLayout:
    """Return the layout with those batch sizes in which every request gets the bits that it gets alone."""
    count = layout.batch_buckets[-1]
    most = min(100, plan.max_candidates)
    events = [plan.history_length] * count
    candidates = [most] * count
    if layout.pads_to_longest:
        events = [max(1, plan.history_length * place // count) for place in range(count, 0, -1)]
        candidates = [max(1, most - 7 * place) for place in range(count)]
    questions = [
        _question(plan, *shape, seed=place) for place, shape in enumerate(zip(candidates, events, strict=True))
    ]
    single = replace(layout, batch_buckets=(1,))
    alone = [single.unpack(model.score(single.pack([question])), [question])[0] for question in questions]
    kept = [1]
    for size in layout.batch_buckets[1:]:
        exact = replace(layout, batch_buckets=(size,))
        together = exact.unpack(model.score(exact.pack(questions[:size])), questions[:size])
        if all(map(np.array_equal, together, alone)):
            kept.append(size)
    return replace(layout, batch_buckets=tuple(kept))


def _growth(model: RankingModel, plan: WarmUpPlan, layout: BatchLayout) -> LatencyCurve:
    """Return how many times a lone run a run of so many requests takes; lone runs are timed beside it."""
    if layout.batch_buckets[0] > 1:
        # filled up to one size, a run takes the same time whoever is in it
        return LatencyCurve.through([1, layout.batch_buckets[0]], [1.0, 1.0])
    question = _question(plan, min(100, plan.max_candidates), max(1, plan.history_length // 2))
    single = layout.pack([question])
    # on a CPU a run grows by the same for each further request
    sizes = (
        layout.batch_buckets[1:] if plan.on_gpu else sorted({*layout.batch_buckets[1:2], *layout.batch_buckets[-1:]})
    )
    alone_s, times = [], []
    for size in sizes:
        batch = layout.pack([question] * size)
        times.append(_least_s(plan, partial(model.score, batch)))
        alone_s.append(_least_s(plan, partial(model.score, single)))
    return LatencyCurve.through([1, *sizes], [1.0, *(seconds / max(min(alone_s), 1e-9) for seconds in times)])


def _run_events(model: RankingModel, plan: WarmUpPlan) -> tuple[float, float]:
    """Return what a run costs beside its request, and what a candidate costs, both in events of a history."""
    few, most = min(CURVE_CELLS[1], plan.max_candidates), min(CURVE_CELLS[-1], plan.max_candidates)
    shapes = ((few, 1), (few, plan.history_length), (most, plan.history_length))
    batches = [BatchLayout().pack([_question(plan, *shape)]) for shape in shapes]
    short_s, long_s, wide_s = [_least_s(plan, partial(model.score, batch)) for batch in batches]
    event_s = max(long_s - short_s, 0.05 * long_s, 1e-9) / max(plan.history_length - 1, 1)
    candidate_s = max(wide_s - long_s, 0.0) / max(most - few, 1)
    return max(short_s - event_s - few * candidate_s, 0.0) / event_s, candidate_s / event_s


def _question(plan: WarmUpPlan, candidates: int, events: int | None = None, *, seed: int = 0) -> Question:
    """Return a request, spread over the whole item table as real ones are; with a full history where none is given."""
    generator = np.random.default_rng(seed)
    events = plan.history_length if events is None else events
    top = max(plan.rows, 2)
    history = EncodedHistory(
        rows_H=generator.integers(1, top, events),
        actions_H=np.zeros(events, np.int64),
        age_s_H=np.sort(generator.uniform(0, 1e6, events).astype(np.float32))[::-1].copy(),
    )
    return Question(history, generator.integers(1, top, candidates))


def _median_s(plan: WarmUpPlan, run: Callable[[], object], *, runs: int = RUNS) -> float:
    return float(np.median(_timed_s(plan, run, runs)))


def _least_s(plan: WarmUpPlan, run: Callable[[], object]) -> float:
    return min(_timed_s(plan, run, COMPARED_RUNS))


def _timed_s(plan: WarmUpPlan, run: Callable[[], object], runs: int) -> list[float]:
    # on a busy machine time passes during a run that has nothing to do with it; a GPU's time is not the thread's
    clock = time.perf_counter if plan.on_gpu else time.thread_time
    seconds = []
    for _ in range(runs):
        started_s = clock()
        run()
        seconds.append(clock() - started_s)
    return seconds
