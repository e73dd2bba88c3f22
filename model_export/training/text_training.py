"""Training the text encoder along with the ranker, a few items a step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from model_export.modeling.item_vectors import ItemVectors
    from model_export.modeling.text_tokens import TextTokens
    from model_export.modeling.text_tower import TextTower


class TextTraining:
    """Keeps the text vectors of the catalogue fresh while the encoder that makes them learns.

    A step runs the encoder on some of the batch's target items; all others keep the vectors that they were last given.
    `refresh` computes all again, before a validation and at the end.

    Args:
        tower: In ``lora`` or ``full`` mode.
        tokens: The tokenised texts, row 1 first.
        items: Whose text vectors are kept.
        items_per_step: How many items the encoder reads in a step, at most.
    """

    def __init__(self, tower: TextTower, tokens: TextTokens, items: ItemVectors, items_per_step: int) -> None:
        self._tower = tower
        self._tokens = tokens
        self._items = items
        self._items_per_step = items_per_step

    def fresh(self, targets_BL: Tensor, among: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return ``(int64[m], float32[m, W])``: positions in the table of the step, and vectors with gradient.

        Args:
            targets_BL: int64 rows; 0 where there is none.
            among: int64[n], the rows of the step's table, ascending; None means all.
        """
        rows = torch.unique(targets_BL)
        rows = rows[rows > 0]
        rows = rows[torch.randperm(len(rows), device=rows.device)[: self._items_per_step]]
        vectors = self._tower.encode_rows(self._tokens, rows.cpu().numpy() - 1)
        self._items.text_vectors[rows] = vectors.detach()
        return (rows if among is None else torch.searchsorted(among, rows)), vectors

    @torch.no_grad()
    def refresh(self) -> None:
        """Encode the whole catalogue with the present weights, without dropout: as the exported encoder will."""
        rows = torch.arange(1, len(self._tokens) + 1)
        was_training = self._tower.training
        self._tower.eval()
        self._items.text_vectors[rows] = self._tower.encode_rows(self._tokens, rows.numpy() - 1)
        self._tower.train(was_training)
