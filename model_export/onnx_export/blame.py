"""Finds the layer where a bundle that misses its tolerance goes wrong."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx

from app.contract.manifest import RANKER_FILE
from model_export.onnx_export.intermediates import ranker_feeds, worst_layer
from model_export.onnx_export.ranker_graph import ranker_model

if TYPE_CHECKING:
    from model_export.onnx_export.draft import Draft


def blamed_layer(draft: Draft, precision: str) -> str:
    """Return a sentence: the encoder, where the table itself is off, else the ranker's layer where the error arises.

    Args:
        draft: The bundle that was measured.
        precision: Its precision.
    """
    errors_N = np.abs(draft.texts_ND - draft.expected_texts).max(axis=1)
    scale = float(np.abs(draft.expected_texts).max())
    with tempfile.TemporaryDirectory() as folder:
        reference = Path(folder) / RANKER_FILE
        onnx.save(ranker_model(draft.reference.ranker), reference)
        pairs = [
            (ranker_feeds(request, draft.reference.table_ND), ranker_feeds(request, draft.table))
            for request in draft.golden.requests
        ]
        same_table = [
            (feeds, feeds | {"item_table": feeds["item_table"].astype(draft.table.dtype)}) for feeds, _ in pairs
        ]
        layer = worst_layer(reference, draft.folder / RANKER_FILE, same_table)
    return (
        f"in {precision} the encoder's vectors are off by {float(errors_N.max()) / scale:.1%} at most (item row "
        f"{int(errors_N.argmax()) + 1}), and in the ranker most of the error arises at {layer}"
    )
