"""The trained numbers of a ranker by name, and the proof that a graph has used every one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from model_export.errors import ExportError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

_NOT_IN_THE_GRAPH: Final = ("items.", "text_tower.")
"""Parts that end up in the item table and the encoder graph instead."""


class TrainedWeights:
    """``float64`` arrays of a module's parameters and buffers.

    A graph written by hand could forget a layer that somebody adds to the model: `check_all_used` turns that into an
    error that names the layer.
    """

    def __init__(self, module: nn.Module) -> None:
        self._arrays: dict[str, NDArray[np.float64]] = {
            name: value.detach().cpu().double().numpy()
            for name, value in module.state_dict().items()
            if not name.startswith(_NOT_IN_THE_GRAPH)
        }
        self._unused = set(self._arrays)

    def __contains__(self, name: str) -> bool:
        """Tell whether there is such a parameter."""
        return name in self._arrays

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        """Return a parameter.

        Raises:
            ExportError: If the model has none of that name.
        """
        if name not in self._arrays:
            raise ExportError(f"the model has no parameter {name}; the graph was written for another architecture")
        self._unused.discard(name)
        return self._arrays[name]

    def linear(self, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return ``(weight[in, out], bias[out])`` of a linear layer: ``y = x @ weight + bias``."""
        return self[f"{name}.weight"].T, self[f"{name}.bias"]

    def norm(self, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return ``(scale, shift)`` of a LayerNorm."""
        return self[f"{name}.weight"], self[f"{name}.bias"]

    def check_all_used(self) -> None:
        """Raise `ExportError` if a parameter was never asked for."""
        if self._unused:
            raise ExportError(
                f"the graph does not use {', '.join(sorted(self._unused))}; it was written for another architecture"
            )
