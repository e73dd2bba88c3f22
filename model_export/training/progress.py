"""What a person sees of a training: a bar with loss, rate and time left, lines in the log, curves in TensorBoard."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

if TYPE_CHECKING:
    import logging
    from pathlib import Path


class Progress:
    """Shows a training on the screen, in the log and in TensorBoard.

    Args:
        logger: Gets one line an epoch.
        tensorboard_folder: Where curves go; None for no curves.
        show_bar: False for no bar; None for a bar on terminals only.
    """

    def __init__(
        self, logger: logging.Logger, tensorboard_folder: Path | None, *, show_bar: bool | None = None
    ) -> None:
        self._logger = logger
        self._disable = None if show_bar is None else not show_bar
        self._bar: tqdm[Any] | None = None
        self._curves: Any = None
        if tensorboard_folder is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # tensorboard's own imports
                from torch.utils.tensorboard.writer import SummaryWriter

            self._curves = SummaryWriter(str(tensorboard_folder))

    def note(self, sentence: str) -> None:
        """Log a sentence."""
        self._logger.info(sentence)

    def step_done(self, phase: str, epoch: int, epochs: int, *, done: int, steps: int, mean_loss: float) -> None:
        """Move the bar; one bar an epoch."""
        if self._bar is None:
            self._bar = tqdm(
                total=steps,
                initial=done - 1,
                desc=f"{phase} {epoch}/{epochs}",
                unit="batch",
                disable=self._disable,
                leave=False,
            )
        self._bar.set_postfix_str(f"loss {mean_loss:.4f}", refresh=False)
        self._bar.update(1)

    def epoch_done(self, entry: dict[str, Any], *, best_epoch: int) -> None:
        """Close the bar and report an epoch.

        Args:
            entry: ``phase``, ``epoch``, ``loss`` and metrics.
            best_epoch: The best one so far, by validation.
        """
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        measured = {name: value for name, value in entry.items() if isinstance(value, float)}
        words = ", ".join(f"{name} {value:.4f}" for name, value in measured.items())
        best = f" (best so far: epoch {best_epoch})" if len(measured) > 1 else ""
        self.note(f"{entry['phase']} epoch {entry['epoch']}: {words}{best}")
        if self._curves is not None:
            for name, value in measured.items():
                self._curves.add_scalar(f"{entry['phase']}/{name}", value, entry["epoch"])
            self._curves.flush()

    def resumed(self, phase: str, epoch: int, step: int) -> None:
        """Report that a checkpoint was found."""
        self.note(f"going on with {phase} after {epoch} epochs and {step} batches")

    def close(self) -> None:
        """Close the bar and the curves."""
        if self._bar is not None:
            self._bar.close()
        if self._curves is not None:
            self._curves.close()
