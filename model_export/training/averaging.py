"""A running average of the weights, which is what is validated and kept."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn


class WeightAverage:
    """Exponential moving average of a model's trained parameters; stands in for a decaying learning rate.

    Args:
        model: Whose parameters; only those with gradients.
        decay: 0 keeps the latest weights. Early steps count for more, so that the start is forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._decay = decay
        self._steps = 0
        self._live = {name: value for name, value in model.named_parameters() if value.requires_grad}
        self._average = {name: value.detach().clone() for name, value in self._live.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the present weights."""
        self._steps += 1
        decay = min(self._decay, (1.0 + self._steps) / (10.0 + self._steps))
        for name, value in self._live.items():
            self._average[name].lerp_(value, 1.0 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the average into the model, for as long as the block lasts."""
        present = {name: value.detach().clone() for name, value in self._live.items()}
        self._assign(self._average)
        try:
            yield
        finally:
            self._assign(present)

    def keep(self) -> None:
        """Put the average into the model for good."""
        self._assign(self._average)

    @torch.no_grad()
    def _assign(self, values: dict[str, Tensor]) -> None:
        for name, value in self._live.items():
            value.copy_(values[name])

    def state(self) -> dict[str, Tensor]:
        """Return the averaged parameters by name, and the number of steps."""
        return {**self._average, _STEPS: torch.tensor(self._steps)}

    @torch.no_grad()
    def load_state(self, state: dict[str, Tensor]) -> None:
        """Go on from what `state` returned."""
        self._steps = int(state[_STEPS])
        for name, value in self._average.items():
            value.copy_(state[name])


_STEPS: Final = "average.steps"
