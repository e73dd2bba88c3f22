"""The folder of a run: what lies where, and how it is written so that a kill cannot spoil it."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import platform
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from model_export.errors import CommandError
from model_export.own_folder import refuse_foreign
from model_export.run_config import RunConfig, config_to_toml, read_run_config

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import TextIOWrapper

_LIBRARIES: Final = ("torch", "transformers", "numpy", "pyarrow", "safetensors", "peft", "optuna")


_OUR_NAMES: Final = frozenset(
    {
        "config.toml",
        "environment.json",
        "metrics.json",
        "model.safetensors",
        "selected.safetensors",
        "text_encoder",
        "checkpoints",
        "tensorboard",
        "log.txt",
        ".lock",
    }
)
_UNFINISHED: Final = ".unfinished"


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """Paths of a run and its small files.

    Attributes:
        folder: Of the run.
    """

    folder: Path

    @property
    def config_file(self) -> Path:
        """The resolved configuration."""
        return self.folder / "config.toml"

    @property
    def environment_file(self) -> Path:
        """Data folder, fingerprint, command line and versions."""
        return self.folder / "environment.json"

    @property
    def metrics_file(self) -> Path:
        """What was measured, epoch by epoch and at the end."""
        return self.folder / "metrics.json"

    @property
    def weights_file(self) -> Path:
        """The model that goes live; it exists once the run is complete."""
        return self.folder / "model.safetensors"

    @property
    def selected_weights_file(self) -> Path:
        """The model of the best epoch, trained without the validation events."""
        return self.folder / "selected.safetensors"

    @property
    def text_encoder_folder(self) -> Path:
        """The fine-tuned text encoder with its tokenizer; absent where it was frozen."""
        return self.folder / "text_encoder"

    @property
    def checkpoint_file(self) -> Path:
        """The latest checkpoint."""
        return self.folder / "checkpoints" / "latest.pt"

    @property
    def tensorboard_folder(self) -> Path:
        """Event files for TensorBoard."""
        return self.folder / "tensorboard"

    @property
    def log_file(self) -> Path:
        """What was printed, with times."""
        return self.folder / "log.txt"

    def refuse_foreign(self) -> None:
        """Refuse a folder in which somebody else's files lie, unless a run has begun there.

        Raises:
            DataError: If so, or if it is a file.
        """
        if not (self.config_file.is_file() and self.environment_file.is_file()):
            refuse_foreign(self.folder, lambda name: name.removesuffix(_UNFINISHED) in _OUR_NAMES, "from a training")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from writing into the folder for as long as the block lasts; makes the folder.

        Raises:
            CommandError: If another process holds it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise CommandError(f"another training is at work in {self.folder}, expected one at a time") from error
            yield
        finally:
            os.close(lock)

    def write_config(self, config: RunConfig) -> None:
        """Write the resolved configuration."""
        write_text(self.config_file, config_to_toml(config))

    def read_config(self) -> RunConfig:
        """Return the resolved configuration.

        Raises:
            CommandError: If the folder is no run.
        """
        if not self.config_file.is_file():
            raise CommandError(f"{self.folder} is no run: it has no {self.config_file.name}")
        return read_run_config(self.config_file)

    def write_environment(self, *, data_folder: Path, fingerprint: str) -> None:
        """Write what the run was made of and on."""
        known = {distribution.name for distribution in metadata.distributions()}
        environment = {
            "data": str(data_folder.resolve()),
            "data_fingerprint": fingerprint,
            "command": sys.argv,
            "python": platform.python_version(),
            "platform": platform.platform(),
            "processors": os.cpu_count(),
            "versions": {name: metadata.version(name) for name in _LIBRARIES if name in known},
        }
        write_text(self.environment_file, json.dumps(environment, indent=2) + "\n")

    def read_environment(self) -> dict[str, Any]:
        """Return what `write_environment` wrote."""
        environment: dict[str, Any] = json.loads(self.environment_file.read_text("utf-8"))
        return environment

    def write_metrics(self, metrics: dict[str, Any]) -> None:
        """Write what was measured."""
        write_text(self.metrics_file, json.dumps(metrics, indent=2) + "\n")

    def read_metrics(self) -> dict[str, Any]:
        """Return what `write_metrics` wrote."""
        metrics: dict[str, Any] = json.loads(self.metrics_file.read_text("utf-8"))
        return metrics

    def logger(self, *, quiet: bool = False) -> logging.Logger:
        """Return a logger that prints lines and appends them, with times, to the log file; the first makes it."""
        logger = logging.getLogger(f"model_export.run.{self.folder}")
        logger.setLevel(logging.INFO)
        logger.propagate = False
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
            handler.close()
        if quiet:
            logger.addHandler(logging.NullHandler())
            return logger
        to_file = _LateFile(self.log_file, encoding="utf-8", delay=True)
        to_file.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        logger.addHandler(to_file)
        to_screen = logging.StreamHandler(sys.stdout)
        to_screen.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(to_screen)
        return logger


class _LateFile(logging.FileHandler):
    """A log file whose folder is made with the first line."""

    def _open(self) -> TextIOWrapper:
        Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
        return super()._open()


def write_text(path: Path, text: str) -> None:
    """Replace a file's content at once."""
    unfinished = path.with_name(path.name + _UNFINISHED)
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    unfinished.write_text(text, "utf-8")
    unfinished.replace(path)
