"""The warm-up chooses by what it measured."""

# ruff: noqa: D102 -- named for what they do

from __future__ import annotations

import math

import numpy as np
import pytest

from app.contract.encoding import EMPTY_HISTORY
from app.inference.batch_layout import Question
from app.inference.warm_up import CANDIDATE_BUCKETS, WarmUpPlan, usable_cores, warm_up


class CountingModel:
    """Scores are row numbers; a batch of `differs_from` requests or more gives other bits."""

    def __init__(self, differs_from=None) -> None:
        self.differs_from = differs_from
        self.shapes = set()

    def score(self, batch):
        self.shapes.add(batch.candidate_rows_BC.shape)
        scores = batch.candidate_rows_BC.astype(np.float32)
        if self.differs_from is not None and len(scores) >= self.differs_from:
            scores += 1e-3
        return scores

    def score_catalog(self, history):
        return np.zeros((len(history.rows_BH), 11), np.float32)


def plan(**changes):
    return WarmUpPlan(**{"rows": 11, "history_length": 5, "on_gpu": False, "cores": 4, **changes})


def test_on_a_cpu_there_are_as_many_workers_as_cores():
    """Without a setting, runs go side by side on every core."""
    policy = warm_up(CountingModel(), plan(batching="off")).policy
    assert (policy.workers, policy.max_batch) == (4, 1)


def test_on_a_cpu_short_runs_need_no_thread():
    """On a CPU a run of less than four milliseconds may be made on the event loop."""
    assert warm_up(CountingModel(), plan(batching="off")).policy.inline_below_s == pytest.approx(0.004)


def test_on_a_gpu_there_is_one_worker():
    """On a GPU one worker takes what has queued, and nothing runs on the event loop."""
    policy = warm_up(CountingModel(), plan(on_gpu=True, batching="on")).policy
    assert (policy.workers, policy.inline_below_s) == (1, 0.0)
    assert policy.max_batch == 32
    assert policy.layout.candidate_buckets


def test_batch_sizes_that_change_the_scores_are_not_used():
    """A batch size whose scores differ in any bit from a lone request's is left out."""
    on_cpu = warm_up(CountingModel(differs_from=6), plan(batching="on")).policy
    assert (on_cpu.layout.batch_buckets, on_cpu.max_batch) == ((1, 2, 3, 4, 5), 5)
    on_gpu = warm_up(CountingModel(differs_from=8), plan(batching="on", on_gpu=True)).policy
    assert on_gpu.layout.batch_buckets == (1, 2, 4)


class RoundingModel(CountingModel):
    """Rounds otherwise for every number of requests, as a GPU may."""

    def __init__(self, *, looks_at_neighbours=False) -> None:
        super().__init__()
        self.looks_at_neighbours = looks_at_neighbours

    def score(self, batch):
        scores = super().score(batch) + np.float32(len(batch.candidate_rows_BC)) / 1000
        return scores + batch.candidate_rows_BC.sum() if self.looks_at_neighbours else scores


@pytest.mark.parametrize(
    ("model", "may_cost", "sizes"),
    [
        (RoundingModel(), math.inf, (32,)),
        (RoundingModel(), 0.0, (1,)),
        (RoundingModel(looks_at_neighbours=True), math.inf, (1,)),
        (CountingModel(), math.inf, (1, 2, 4, 8, 16, 32)),
        (CountingModel(differs_from=4), 0.0, (1, 2)),
    ],
    ids=["filled", "too dear", "neighbours are seen", "nothing is rounded otherwise", "some sizes are not"],
)
def test_on_a_gpu_runs_are_filled_up_where_sizes_round_otherwise(model, may_cost, sizes, monkeypatch):
    """Requests share runs of one size where a lone one may cost as much; shapes are few in any case."""
    monkeypatch.setattr("app.inference.warm_up.FILLED_RUN_COSTS", may_cost)
    policy = warm_up(model, plan(on_gpu=True, batching="on")).policy
    assert (policy.layout.batch_buckets, policy.max_batch) == (sizes, sizes[-1])
    assert (policy.layout.candidate_buckets, policy.layout.history_buckets) == (CANDIDATE_BUCKETS, (5,))


def test_a_filled_run_gives_a_request_the_same_bits_whoever_shares_it(monkeypatch):
    """The layout that was chosen makes runs of one shape for one request and for many."""
    monkeypatch.setattr("app.inference.warm_up.FILLED_RUN_COSTS", math.inf)
    model = RoundingModel()
    policy = warm_up(model, plan(on_gpu=True)).policy
    assert policy.growth.seconds_of(32) == policy.growth.seconds_of(1)
    questions = [Question(EMPTY_HISTORY, np.arange(1, 4) + place) for place in range(5)]
    together = policy.layout.unpack(model.score(policy.layout.pack(questions)), questions)
    for question, scores in zip(questions, together, strict=True):
        alone = policy.layout.unpack(model.score(policy.layout.pack([question])), [question])[0]
        np.testing.assert_array_equal(alone, scores)


@pytest.mark.parametrize(
    ("disturbed_by", "ragged", "largest"), [("nothing", True, 8), ("padding", False, 8), ("neighbours", False, 1)]
)
def test_what_disturbs_scores_decides_who_may_share_a_run(disturbed_by, ragged, largest):
    """On a CPU any lengths share if neither padding nor neighbours change a bit, else equal ones, else nobody."""

    class Disturbed(CountingModel):
        def score(self, batch):
            rows = batch.history.rows_BH
            scores = super().score(batch)
            if disturbed_by == "padding" and not rows.all():
                scores += 1e-3
            if disturbed_by == "neighbours":
                scores += rows.sum() * 1e-3
            return scores

    policy = warm_up(Disturbed(), plan(batching="on", history_length=50)).policy
    assert (policy.layout.pads_to_longest, policy.max_batch) == (ragged, largest)


def test_no_request_is_longer_than_allowed():
    """The measured candidates do not exceed what a request may name."""
    model = CountingModel()
    measured = warm_up(model, plan(max_candidates=64, batching="off"))
    assert measured.curve.cells == (10, 64)
    assert max(shape[1] for shape in model.shapes) == 64


@pytest.mark.parametrize(
    ("changes", "by"), [({}, "measured"), ({"workers": 2}, "setting"), ({"batching": "on"}, "setting")]
)
def test_the_policy_says_who_chose_it(changes, by):
    """`/info` shows whether a setting or the measurement decided."""
    assert warm_up(CountingModel(), plan(**changes)).policy.describe()["chosen_by"] == by


def test_this_process_has_a_core():
    """Whatever the container's quota, at least one core is usable."""
    assert usable_cores() >= 1
