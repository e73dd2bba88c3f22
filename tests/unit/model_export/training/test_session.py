"""A run from fresh weights to the model that goes live."""

from __future__ import annotations

import logging

import pytest
import torch

from model_export.run_directory import RunDirectory
from model_export.training.distribution import Distribution
from model_export.training.material import REFIT, SELECT
from model_export.training.progress import Progress
from model_export.training.session import TrainingSession
from model_export.training.validation import masked_ranks, ndcg_at
from tests.unit.model_export.training.small_material import small_config, small_material

MATERIAL = small_material()


class Killed(BaseException):
    """What stands for kill -9: nothing of the session runs after it."""


class KillingProgress(Progress):
    """Ends the process, so to speak, after some steps."""

    steps_to_live = 0

    def step_done(self, *args, **named):
        """Count down."""
        super().step_done(*args, **named)
        self.steps_to_live -= 1
        if self.steps_to_live == 0:
            raise Killed


def session(folder, *, progress=Progress, checkpoint_seconds=60.0, **training):
    return TrainingSession(
        material=MATERIAL,
        config=small_config(MATERIAL, **training),
        directory=RunDirectory(folder),
        device=torch.device("cpu"),
        distribution=Distribution(),
        progress=progress(logging.getLogger("test"), None, show_bar=False),
        checkpoint_seconds=checkpoint_seconds,
    )


def parameters(model):
    return {name: value.detach() for name, value in model.named_parameters()}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return session(tmp_path_factory.mktemp("whole")).run()


@pytest.mark.parametrize("steps", [3, 9, 40])
def test_a_killed_run_ends_as_if_nothing_had_happened(steps, uninterrupted, tmp_path):
    """Killed in the first epoch, later, or in the refit: the same command ends with the same weights, bit for bit."""
    first = session(tmp_path, progress=KillingProgress, checkpoint_seconds=-1.0)
    first._progress.steps_to_live = steps
    with pytest.raises(Killed):
        first.run()
    resumed = session(tmp_path).run()
    for name, value in parameters(uninterrupted).items():
        assert torch.equal(parameters(resumed)[name], value), name


def test_the_same_seed_gives_the_same_model(uninterrupted, tmp_path):
    """Two runs of one configuration end with equal weights."""
    again = session(tmp_path).run()
    assert all(torch.equal(parameters(again)[name], value) for name, value in parameters(uninterrupted).items())


def test_the_refit_lasts_as_long_as_the_best_epoch(tmp_path):
    """The second phase trains for the chosen number of epochs, on more events."""
    one = session(tmp_path, patience=1)
    one.run()
    phases = [entry["phase"] for entry in one.selection.history]
    assert phases.count(REFIT) == one.selection.best_epoch
    assert MATERIAL.counts(REFIT).sum() == MATERIAL.counts(SELECT).sum() + len(MATERIAL.split.validation)


def test_a_model_learns_the_circle(tmp_path):
    """Where the next item follows from the last, the ranker finds out; without refit the best epoch's model stays."""
    one = session(tmp_path, refit=False, max_epochs=25, patience=25, learning_rate=1e-2, averaging=0.9)
    ranks = masked_ranks(one.run(), MATERIAL.data, MATERIAL.split.test)
    assert ndcg_at(ranks, 10) > 0.8


def test_a_sampled_softmax_learns_the_circle_too(tmp_path):
    """Above ``full_softmax_items`` the negatives are sampled."""
    one = session(
        tmp_path,
        refit=False,
        max_epochs=25,
        patience=25,
        learning_rate=1e-2,
        averaging=0.9,
        full_softmax_items=5,
        negatives=8,
    )
    ranks = masked_ranks(one.run(), MATERIAL.data, MATERIAL.split.test)
    assert ndcg_at(ranks, 10) > 0.8


def test_time_runs_out(tmp_path):
    """Past ``max_minutes`` no further epoch begins."""
    one = session(tmp_path, refit=False, max_minutes=1e-9, max_epochs=50)
    one.run()
    assert len(one.selection.history) == 1


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"max_epochs": 2}, ["training.max_epochs (2) ended it before training.patience did"]),
        ({"max_minutes": 1e-9}, ["training.max_minutes (1e-09) ended it before training.patience did"]),
        ({"patience": 1, "learning_rate": 0.0}, []),
    ],
)
def test_a_limit_that_came_before_patience_is_named(limits, said, tmp_path, caplog):
    """Who reads the log knows whether more training could help, and which setting ended it."""
    caplog.set_level(logging.INFO)
    session(tmp_path, refit=False, **{"patience": 5, **limits}).run()
    found = [record.message.partition(" (best")[0] for record in caplog.records if "ended it" in record.message]
    assert found == said
