"""What one evaluation is about: prepared data, its split, and our scorers on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from model_export.data import columns
from model_export.data.dataset import Dataset, read_dataset
from model_export.data.simulation.truth import read_truth
from model_export.data.splits import COLD, LEAVE_ONE_OUT, Split, split_by_name
from model_export.errors import CommandError
from model_export.evaluation.baselines.text_similarity import tf_idf
from model_export.evaluation.comparison import OURS
from model_export.evaluation.oracle import Oracle

if TYPE_CHECKING:
    from app.contract.manifest import Manifest
    from app.contract.tensors import Float32Array, Int64Array
    from model_export.evaluation.scorers import CatalogScorer

_MOST_TEXT_CELLS: Final = 1 << 24
"""Up to this many cells tf-idf vectors are kept dense, for the diversity of lists where there is no model."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is evaluated.

    Attributes:
        data: The events that the split's positions refer to.
        split: Which of them are asked about.
        ours_S: Our scorer, one a training seed; empty if only baselines are asked for.
        note: What ours was trained on, in words.
        vectors_ND: ``float32[N + 1, D]`` in which the likeness of listed items is measured.
        vectors_name: What those vectors are, in words.
        data_folder: Where the prepared files are.
        unaware_of_validation: Ours as it was before any refit, to fit calibration on validation questions; None where
            there is no such model.
    """

    data: Dataset
    split: Split
    ours_S: list[CatalogScorer]
    note: str
    vectors_ND: Float32Array
    vectors_name: str
    data_folder: Path | None = None
    unaware_of_validation: CatalogScorer | None = None


def subject_of_data(folder: Path, split_name: str = LEAVE_ONE_OUT) -> Subject:
    """Return prepared data without a model, for baselines alone."""
    data, split = split_by_name(read_dataset(folder), split_name)
    return Subject(data, split, [], "", text_vectors(data), "tf-idf of the texts", folder)


def subject_of_runs(folders: list[Path], *, test: bool = True, device: str = "cpu") -> Subject:
    """Load trained runs of the same data; several are read as seeds of one model.

    Args:
        folders: Run folders.
        test: Whether test questions will be asked: then the models that go live, which may have been refitted on the
            validation events, else those that have not seen them.
        device: Where the runs are scored.

    Raises:
        CommandError: If two runs were trained on different data or splits.
    """
    from model_export.evaluation.run_scorer import RunScorer
    from model_export.run_directory import RunDirectory
    from model_export.training.trained_run import load_trained_run

    runs = [load_trained_run(folder, device, selected=not test) for folder in folders]
    first = runs[0]
    for folder, run in zip(folders, runs, strict=True):
        if (run.data.fingerprint, run.split.name) != (first.data.fingerprint, first.split.name):
            raise CommandError(
                f"{folder} was trained on other data or another split than {folders[0]}, expected the same"
            )
    scorers = [RunScorer(run.model, name=OURS) for run in runs]
    unaware = RunScorer(load_trained_run(folders[0], device, selected=True).model, name=OURS) if test else scorers[0]
    refitted = test and first.config.training.refit
    return Subject(
        data=first.data,
        split=first.split,
        ours_S=list(scorers),
        note="trained on train + validation (refit)" if refitted else "trained on train",
        vectors_ND=scorers[0].item_vectors,
        vectors_name="our item vectors",
        data_folder=Path(RunDirectory(folders[0]).read_environment()["data"]),
        unaware_of_validation=unaware,
    )


def subject_of_bundle(bundle_folder: Path, data_folder: Path, split_name: str | None = None) -> Subject:
    """Open a bundle and the prepared data that it is asked about.

    Args:
        bundle_folder: What ``export`` wrote.
        data_folder: What ``prepare`` wrote.
        split_name: How the data is divided; None for `division_of`'s choice.

    Raises:
        CommandError: If the bundle has other items or actions, or was trained on this data divided in another way.
    """
    from app.inference.bundle import open_bundle
    from model_export.evaluation.bundle_scorer import BundleScorer, require_same_shop

    bundle = open_bundle(bundle_folder)
    whole = read_dataset(data_folder)
    data, split = split_by_name(whole, division_of(bundle.manifest, whole, split_name))
    require_same_shop(bundle, data)
    scorer = BundleScorer(bundle.ranker, history_length=bundle.manifest.history_length, name=OURS)
    note = f"bundle {bundle.manifest.name} {bundle.manifest.version}, {bundle.manifest.precision}"
    if not was_trained_on(bundle.manifest, whole):
        note += "; trained on other data, of which it may know some answers"
    vectors_ND = np.asarray(bundle.item_table, np.float32)
    return Subject(data, split, [scorer], note, vectors_ND, "our item vectors", data_folder)


def was_trained_on(manifest: Manifest, data: Dataset) -> bool:
    """Return whether a bundle was trained on exactly this data."""
    return manifest.training_data.get("fingerprint") == data.fingerprint


def division_of(manifest: Manifest, data: Dataset, asked_for: str | None) -> str:
    """Return how the questions for a bundle are divided off: as its training did, where this is the training's data.

    Args:
        manifest: The bundle's.
        data: Where the questions come from.
        asked_for: A split's name, or None for whichever is right.

    Raises:
        CommandError: If another split than the training's is asked for: the bundle knows some of its answers.
    """
    own = str(manifest.training_data.get("split", LEAVE_ONE_OUT)) if was_trained_on(manifest, data) else None
    if own is not None and asked_for not in (None, own):
        message = f"--division is {asked_for}, but the bundle was trained with --split {own}"
        raise CommandError(f"{message} and knows some of those answers, expected {own} or nothing")
    return asked_for or own or LEAVE_ONE_OUT


def oracle_of(subject: Subject) -> Oracle | None:
    """Return the oracle of simulated data, or None."""
    folder = subject.data_folder
    if folder is None or subject.split.name != LEAVE_ONE_OUT or not (folder / columns.TRUTH_FILE).exists():
        return None
    return Oracle(read_truth(folder), subject.split.test.events)


def drift_of(subject: Subject) -> Int64Array | None:
    """Return ``int64[U]``, after how many events each simulated user's tastes changed, -1 for never; None without."""
    folder = subject.data_folder
    if folder is None or not (folder / columns.TRUTH_FILE).exists() or subject.split.name == COLD:
        return None
    return read_truth(folder).drift_events


def text_vectors(data: Dataset) -> Float32Array:
    """Return ``float32[N + 1, D]``: tf-idf vectors of the texts, of a large catalogue randomly projected to 256."""
    words = tf_idf(data.item_texts())
    if words.shape[0] * words.shape[1] <= _MOST_TEXT_CELLS:
        dense: Float32Array = words.toarray()
        return dense
    projection = np.random.default_rng(0).normal(0, 1 / 16, (words.shape[1], 256)).astype(np.float32)
    projected: Float32Array = words @ projection
    return projected
