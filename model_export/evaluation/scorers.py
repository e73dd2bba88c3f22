"""What can be evaluated: anything that scores the whole catalogue for a block of questions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from app.contract.tensors import Float32Array
    from model_export.evaluation.questions import Questions


class CatalogScorer(Protocol):
    """A model under evaluation.

    Attributes:
        name: The model's name in tables and JSON.
    """

    name: str

    def scores(self, questions: Questions) -> Float32Array:
        """Return ``float32[B, N + 1]``: a score for every row; higher is better, row 0 counts for nothing."""
