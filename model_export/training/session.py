"""The story of a run: choose the number of epochs on validation, then train what goes live."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from model_export.modeling.text_tower import TextTower
from model_export.training.checkpoint_file import read_checkpoint, write_checkpoint
from model_export.training.fresh_fit import fresh_fit, fresh_ranker
from model_export.training.item_texts import save_text_encoder
from model_export.training.material import REFIT, SELECT
from model_export.training.precision import fast_products, product_dtype
from model_export.training.validation import Validation
from model_export.training.weights_file import load_weights, write_weights

if TYPE_CHECKING:
    import torch

    from model_export.modeling.ranker import SequenceRanker
    from model_export.run_config import RunConfig
    from model_export.run_directory import RunDirectory
    from model_export.training.distribution import Distribution
    from model_export.training.fit import Fit
    from model_export.training.material import TrainingMaterial
    from model_export.training.progress import Progress
    from model_export.training.text_training import TextTraining


@dataclass(slots=True)
class Selection:
    """What validation has said so far.

    Attributes:
        best_epoch: 0 before the first.
        best_ndcg: Validation NDCG@10 of that epoch.
        history: One entry an epoch: phase, epoch, loss, NDCG@10, HR@10.
        minutes: Spent in training and validation, over all processes that went on with this run.
    """

    best_epoch: int = 0
    best_ndcg: float = -1.0
    history: list[dict[str, Any]] = field(default_factory=list)
    minutes: float = 0.0


class TrainingSession:
    """Trains a run to its end, from wherever its checkpoint is.

    Args:
        material: What is trained on.
        config: Resolved.
        directory: Where checkpoints and results go.
        device: Where tensors live.
        distribution: Which processes take part.
        progress: Told what happens.
        checkpoint_seconds: How much work a kill may cost.
    """

    def __init__(
        self,
        *,
        material: TrainingMaterial,
        config: RunConfig,
        directory: RunDirectory,
        device: torch.device,
        distribution: Distribution,
        progress: Progress,
        checkpoint_seconds: float = 60.0,
    ) -> None:
        self._material, self._config, self._directory = material, config, directory
        self._device, self._distribution, self._progress = device, distribution, progress
        self._checkpoint_seconds = checkpoint_seconds
        self._saved_s = time.monotonic()
        self.selection = Selection()

    def run(self) -> SequenceRanker:
        """Return the model that goes live, averaged weights in place."""
        state = read_checkpoint(self._directory.checkpoint_file)
        if state is not None:
            self.selection = Selection(**state["selection"])
        phase = SELECT if state is None else str(state["phase"])
        if phase == SELECT:
            self._select(state)
            state = None
        if self._config.training.refit:
            return self._refit(state)
        return self.selected()

    def selected(self) -> SequenceRanker:
        """Return the model of the best epoch, which has not seen the validation events."""
        selected = fresh_ranker(self._material, self._config, SELECT)
        load_weights(selected, self._directory.selected_weights_file)
        return selected

    def _select(self, state: dict[str, Any] | None) -> None:
        """Train until validation stops rising; the best epoch's weights lie in the run folder."""
        training = self._config.training
        fit, text = self._fresh(SELECT, state)
        validation = Validation(self._material.data, self._material.split.validation, training.validation_targets)
        while fit.epoch < training.max_epochs and not self._patience_is_over(fit.epoch) and not self._time_is_over():
            loss = self._epoch(fit, SELECT, training.max_epochs)
            with fit.average.applied():
                if text is not None:
                    text.refresh()
                metrics = validation.measure(fit.model) if self._distribution.is_first else {}
                ndcg = self._distribution.from_first(metrics.get("NDCG@10", 0.0))
                if ndcg > self.selection.best_ndcg:
                    self.selection.best_epoch, self.selection.best_ndcg = fit.epoch, ndcg
                    if self._distribution.is_first:
                        self._write_selected(fit.model)
            entry = {"phase": SELECT, "epoch": fit.epoch, "loss": loss, **metrics}
            self.selection.history.append(entry)
            self._progress.epoch_done(entry, best_epoch=self.selection.best_epoch)
            self._save(fit, SELECT)
        if not self._patience_is_over(fit.epoch):
            limit = "max_epochs" if fit.epoch >= training.max_epochs else "max_minutes"
            self._progress.note(
                f"training.{limit} ({getattr(training, limit):g}) ended it before training.patience did (best: epoch "
                f"{self.selection.best_epoch} of {fit.epoch}); a larger {limit} may give a better model"
            )

    def _refit(self, state: dict[str, Any] | None) -> SequenceRanker:
        """Train fresh weights on train + validation for as many epochs as were best."""
        fit, text = self._fresh(REFIT, state)
        epochs = max(self.selection.best_epoch, 1)
        while fit.epoch < epochs:
            loss = self._epoch(fit, REFIT, epochs)
            entry = {"phase": REFIT, "epoch": fit.epoch, "loss": loss}
            self.selection.history.append(entry)
            self._progress.epoch_done(entry, best_epoch=self.selection.best_epoch)
            self._save(fit, REFIT)
        fit.average.keep()
        if text is not None:
            text.refresh()
        return fit.model

    def _epoch(self, fit: Fit, phase: str, epochs: int) -> float:
        """Train to the end of an epoch, saving in between, and count the time."""
        started_s = time.monotonic()

        def after_step(done: int, steps: int, mean_loss: float) -> None:
            nonlocal started_s
            self._progress.step_done(phase, fit.epoch + 1, epochs, done=done, steps=steps, mean_loss=mean_loss)
            now_s = time.monotonic()
            if now_s - self._saved_s > self._checkpoint_seconds and done < steps:
                self.selection.minutes += (now_s - started_s) / 60
                started_s = now_s
                self._save(fit, phase)

        with fast_products(product_dtype(self._config.training.precision, self._device)):
            loss = fit.train_epoch(after_step)
        self.selection.minutes += (time.monotonic() - started_s) / 60
        return loss

    def _fresh(self, phase: str, state: dict[str, Any] | None) -> tuple[Fit, TextTraining | None]:
        """Return a fit with seeded weights, or where a checkpoint of this phase left it."""
        fit, text = fresh_fit(self._material, self._config, phase, device=self._device, distribution=self._distribution)
        if state is not None:
            fit.load_state(state["fit"])
            self._progress.resumed(phase, fit.epoch, fit.step_of_epoch)
        return fit, text

    def _write_selected(self, model: SequenceRanker) -> None:
        write_weights(model, self._directory.selected_weights_file, self._material.texts.whitening)
        if isinstance(model.text_tower, TextTower) and not self._config.training.refit:
            # merging LoRA changes the tower for good, and this one goes on learning
            tower = copy.deepcopy(model.text_tower)
            save_text_encoder(tower, self._config.text, self._directory.text_encoder_folder)

    def _patience_is_over(self, epoch: int) -> bool:
        return epoch - self.selection.best_epoch >= self._config.training.patience

    def _time_is_over(self) -> bool:
        limit = self._config.training.max_minutes
        return self._distribution.from_first(float(0 < limit <= self.selection.minutes)) > 0

    def _save(self, fit: Fit, phase: str) -> None:
        if self._distribution.is_first:
            selection = {name: getattr(self.selection, name) for name in Selection.__slots__}
            state = {"phase": phase, "fit": fit.state(), "selection": selection}
            write_checkpoint(self._directory.checkpoint_file, state)
        self._saved_s = time.monotonic()
