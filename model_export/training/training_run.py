"""Everything around a training: reading the data, the run folder, the device, the final test."""

from __future__ import annotations

import time
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model_export.data.dataset import fingerprint_of
from model_export.errors import CommandError
from model_export.modeling.text_tower import TextTower
from model_export.run_config import first_difference
from model_export.run_directory import RunDirectory
from model_export.training.capacity import resolved
from model_export.training.distribution import join_processes, leave_processes
from model_export.training.item_texts import save_text_encoder
from model_export.training.material_loading import load_material
from model_export.training.new_items import affordable_boost
from model_export.training.precision import chosen_device
from model_export.training.progress import Progress
from model_export.training.session import TrainingSession
from model_export.training.validation import hit_rate_at, masked_ranks, ndcg_at
from model_export.training.weights_file import write_weights

if TYPE_CHECKING:
    import logging

    from model_export.modeling.ranker import SequenceRanker
    from model_export.run_config import RunConfig
    from model_export.training.distribution import Distribution
    from model_export.training.material import TrainingMaterial


class TrainingRun:
    """One ``train`` command.

    Args:
        data_folder: What ``prepare`` wrote.
        run_folder: Of the run; may hold an unfinished one.
        config: As the user gave it.
        device: ``auto`` or a torch device.
    """

    def __init__(self, data_folder: Path, run_folder: Path, config: RunConfig, *, device: str = "auto") -> None:
        self._data_folder = data_folder
        self._directory = RunDirectory(run_folder)
        self._config = replace(config, text=replace(config.text, encoder=_located(config.text.encoder)))
        self._device = chosen_device(device)

    def run(self) -> int:
        """Train to the end, or go on to it; return 0.

        Raises:
            CommandError: If data, configuration and run folder do not go together; nothing is written then.
        """
        distribution = join_processes()
        try:
            self._directory.refuse_foreign()
            logger = self._directory.logger(quiet=not distribution.is_first)
            if self._directory.weights_file.is_file():
                self._refuse_another(self._config, fingerprint_of(self._data_folder), "a complete run")
                logger.info("%s is complete already; nothing to do", self._directory.folder)
                return 0
            material = load_material(self._data_folder, self._config, logger.info, device=self._device)
            with self._directory.locked() if distribution.is_first else nullcontext():
                self._train(material, logger, distribution)
        finally:
            leave_processes()
        return 0

    def _train(self, material: TrainingMaterial, logger: logging.Logger, distribution: Distribution) -> None:
        config = self._resolved(material, logger, is_first=distribution.is_first)
        curves = self._directory.tensorboard_folder if distribution.is_first else None
        with closing(Progress(logger, curves, show_bar=None if distribution.is_first else False)) as progress:
            session = TrainingSession(
                material=material,
                config=config,
                directory=self._directory,
                device=self._device,
                distribution=distribution,
                progress=progress,
            )
            model = session.run()
            if distribution.is_first:
                boost = self._raise_new_items(model, config, material, session, progress)
                self._finish(model, material, session, progress, boost)

    def _refuse_another(self, config: RunConfig, fingerprint: str, what: str) -> None:
        """Refuse to take what lies in the folder for a run of this configuration on this data."""
        folder = self._directory.folder
        if difference := first_difference(config, self._directory.read_config()):
            raise CommandError(
                f"{folder} holds {what} with another configuration ({difference}); give the same options, or another "
                "folder"
            )
        if self._directory.read_environment()["data_fingerprint"] != fingerprint:
            raise CommandError(
                f"{folder} holds {what} on other data than {self._data_folder} has now; name another folder for a new "
                "run"
            )

    def _resolved(self, material: TrainingMaterial, logger: logging.Logger, *, is_first: bool) -> RunConfig:
        """Return the resolved configuration; an unfinished run must have been started with the same one."""
        config = resolved(self._config, material.statistics)
        if self._directory.config_file.is_file():
            self._refuse_another(config, material.data.fingerprint, "an unfinished run")
        elif is_first:
            self._directory.write_environment(data_folder=self._data_folder, fingerprint=material.data.fingerprint)
            self._directory.write_config(config)
        model = config.model
        sizes = (
            f"{model.encoder}, {model.blocks} blocks, {model.width} wide, vectors of {model.vector_width}, history of "
            f"{model.history_length}, dropout {model.dropout}"
        )
        logger.info(sizes)
        return config

    @staticmethod
    def _raise_new_items(
        model: SequenceRanker,
        config: RunConfig,
        material: TrainingMaterial,
        session: TrainingSession,
        progress: Progress,
    ) -> float:
        """Raise new items; return by how much."""
        boost = config.model.new_item_boost
        if boost is None:
            boost = affordable_boost(session.selected(), material.data, material.split.validation, note=progress.note)
        model.items.boost_new_items(boost)
        return boost

    def _finish(
        self,
        model: SequenceRanker,
        material: TrainingMaterial,
        session: TrainingSession,
        progress: Progress,
        boost: float,
    ) -> None:
        """Measure the test targets once and write what the run is for."""
        started_s = time.monotonic()
        ranks_T = masked_ranks(model, material.data, material.split.test)
        test = {"NDCG@10": ndcg_at(ranks_T, 10), "HR@10": hit_rate_at(ranks_T, 10)}
        metrics: dict[str, Any] = {
            "test": test,
            "refit": self._config.training.refit,
            "validation": {"NDCG@10": session.selection.best_ndcg, "epoch": session.selection.best_epoch},
            "new_item_boost": boost,
            "training_minutes": round(session.selection.minutes, 2),
            "test_seconds": round(time.monotonic() - started_s, 1),
            "epochs": session.selection.history,
        }
        self._directory.write_metrics(metrics)
        if isinstance(model.text_tower, TextTower):
            save_text_encoder(model.text_tower, self._config.text, self._directory.text_encoder_folder)
        write_weights(model, self._directory.weights_file, material.texts.whitening)
        minutes = session.selection.minutes
        progress.note(
            f"test NDCG@10 {test['NDCG@10']:.4f}, HR@10 {test['HR@10']:.4f} after {minutes:.1f} minutes of training"
        )
        folder = self._directory.folder
        progress.note(
            f"next: python -m model_export evaluate --run {folder}, then export --run {folder} --bundle BUNDLE"
        )


def _located(encoder: str) -> str:
    """Return a folder's absolute path, so that the run opens from anywhere; a hub id as it is."""
    folder = Path(encoder).expanduser()
    return str(folder.resolve()) if encoder and folder.is_dir() else encoder
