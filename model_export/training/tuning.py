"""Searching hyperparameters with Optuna: resumable, with pruning, reported in Markdown."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import optuna

from model_export.own_folder import refuse_foreign
from model_export.run_config import RunConfig, config_to_toml
from model_export.run_directory import RunDirectory, write_text
from model_export.training.capacity import resolved
from model_export.training.distribution import Distribution
from model_export.training.material_loading import load_material
from model_export.training.precision import chosen_device
from model_export.training.progress import Progress
from model_export.training.session import TrainingSession

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from model_export.training.material import TrainingMaterial

Suggest: TypeAlias = "Callable[[optuna.trial.BaseTrial, str], Any]"
"""Trial and name -> the value that the trial is to have of that name."""

_STUDY: Final = "seqrank"
_STUDY_FILE: Final = "study.sqlite3"


class TrialProgress(Progress):
    """Reports each epoch's validation NDCG@10 to Optuna, which may end the trial."""

    trial: optuna.Trial

    def epoch_done(self, entry: dict[str, Any], *, best_epoch: int) -> None:
        """Report, then raise `optuna.TrialPruned` if others were better at this point."""
        super().epoch_done(entry, best_epoch=best_epoch)
        self.trial.report(entry["NDCG@10"], entry["epoch"])
        if self.trial.should_prune():
            raise optuna.TrialPruned


class Tuning:
    """A study in a folder; the same folder goes on with it.

    Args:
        data_folder: What ``prepare`` wrote.
        folder: Gets ``study.sqlite3``, ``report.md``, ``best.toml`` and a folder a trial.
        config: What the trials vary.
        device: ``auto`` or a torch device.
    """

    def __init__(self, data_folder: Path, folder: Path, config: RunConfig, *, device: str = "auto") -> None:
        self._folder = folder
        self._config = replace(config, training=replace(config.training, refit=False))
        self._device = chosen_device(device)
        self._data_folder = data_folder
        self._logger = RunDirectory(folder).logger()

    def run(self, trials: int) -> None:
        """Go on until the study has ``trials`` finished trials, pruned ones among them.

        Args:
            trials: At least 1, so that there is something to report.

        Raises:
            CommandError: If the data or the configuration cannot be used, or the folder holds files of somebody else;
                nothing is written then.
        """
        if not (self._folder / _STUDY_FILE).is_file():
            refuse_foreign(self._folder, _is_ours, "from a study")
        material = load_material(self._data_folder, self._config, self._logger.info, device=self._device)
        study = self._opened_study()
        if not study.trials:
            defaults = resolved(self._config, material.statistics)
            study.enqueue_trial({name: _read(defaults, name) for name in searched(self._config)})
        finished = [trial for trial in study.trials if trial.state.is_finished()]
        for _ in range(trials - len(finished)):
            study.optimize(lambda trial: self._trial(trial, material), n_trials=1)
            self._write_report(study)
        self._write_report(study)

    def _opened_study(self) -> optuna.Study:
        """Return the folder's study, or a new one."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return optuna.create_study(
            study_name=_STUDY,
            storage=f"sqlite:///{self._folder / _STUDY_FILE}",
            direction="maximize",
            load_if_exists=True,
            sampler=optuna.samplers.TPESampler(seed=self._config.seed),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=2),
        )

    def _trial(self, trial: optuna.Trial, material: TrainingMaterial) -> float:
        config = resolved(suggested(self._config, trial), material.statistics)
        directory = RunDirectory(self._folder / f"trial-{trial.number:04d}")
        progress = TrialProgress(self._logger, None)
        progress.trial = trial
        self._logger.info("trial %d: %s", trial.number, json.dumps(trial.params))
        session = TrainingSession(
            material=material,
            config=config,
            directory=directory,
            device=self._device,
            distribution=Distribution(),
            progress=progress,
        )
        try:
            session.run()
        finally:
            progress.close()
        trial.set_user_attr("epoch", session.selection.best_epoch)
        trial.set_user_attr("minutes", round(session.selection.minutes, 2))
        return session.selection.best_ndcg

    def _write_report(self, study: optuna.Study) -> None:
        """Write all trials, best first, and the best one's configuration."""
        write_text(self._folder / "report.md", report(study))
        if any(trial.state == optuna.trial.TrialState.COMPLETE for trial in study.trials):
            best = suggested(self._config, optuna.trial.FixedTrial(study.best_params))
            best = replace(best, training=replace(best.training, refit=True))
            write_text(self._folder / "best.toml", config_to_toml(best))


def suggested(config: RunConfig, trial: optuna.trial.BaseTrial) -> RunConfig:
    """Return the configuration with what the trial suggests."""
    model, training = config.model, config.training
    for name, suggest in searched(config).items():
        section, key = name.split(".")
        value = suggest(trial, name)
        if section == "model":
            model = replace(model, **{key: value})
        else:
            training = replace(training, **{key: value})
    return replace(config, model=model, training=training)


def searched(config: RunConfig) -> dict[str, Suggest]:
    """Return the part of the search space that the configuration leaves at its defaults; what it sets stays fixed."""
    defaults = RunConfig()
    return {name: suggest for name, suggest in _SPACE.items() if _read(config, name) == _read(defaults, name)}


def report(study: optuna.Study) -> str:
    """Return a Markdown table of the trials, best first."""
    lines = [
        "# Trials, by validation NDCG@10",
        "",
        "| trial | state | NDCG@10 | epoch | minutes | settings |",
        "|---|---|---|---|---|---|",
    ]
    for trial in sorted(study.trials, key=lambda trial: -(trial.value or 0.0)):
        settings = ", ".join(f"{name.split('.')[1]} {_short(value)}" for name, value in trial.params.items())
        values = (trial.number, trial.state.name.lower(), _short(trial.value), trial.user_attrs.get("epoch", ""))
        lines.append(
            "| " + " | ".join(str(cell) for cell in (*values, trial.user_attrs.get("minutes", ""), settings)) + " |"
        )
    return "\n".join(lines) + "\n"


_SPACE: Final[dict[str, Suggest]] = {
    "model.encoder": lambda trial, name: trial.suggest_categorical(name, ("transformer", "gru", "lstm")),
    "model.width": lambda trial, name: trial.suggest_categorical(name, (64, 128, 192, 256)),
    "model.vector_width": lambda trial, name: trial.suggest_categorical(name, (64, 128, 192, 256)),
    "model.blocks": lambda trial, name: trial.suggest_int(name, 1, 3),
    "model.history_length": lambda trial, name: trial.suggest_categorical(name, (20, 50, 100, 200)),
    "model.dropout": lambda trial, name: trial.suggest_float(name, 0.0, 0.7),
    "model.delta_bound": lambda trial, name: trial.suggest_float(name, 0.1, 8.0, log=True),
    "model.id_dropout": lambda trial, name: trial.suggest_float(name, 0.0, 0.5),
    "model.interests": lambda trial, name: trial.suggest_int(name, 1, 4),
    "training.learning_rate": lambda trial, name: trial.suggest_float(name, 2e-4, 1e-2, log=True),
    "training.weight_decay": lambda trial, name: trial.suggest_float(name, 1e-4, 1.0, log=True),
}
"""What is searched, by ``section.key`` of the configuration."""


def _read(config: RunConfig, name: str) -> Any:
    section, key = name.split(".")
    return getattr(getattr(config, section), key)


def _is_ours(name: str) -> bool:
    """Whether a study without a database may have left a file of this name: it was killed before it made one."""
    return name in {"log.txt", f"{_STUDY_FILE}-journal"}


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
