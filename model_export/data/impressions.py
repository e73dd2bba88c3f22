"""The columns of ``impressions.parquet``: what was shown together, and what of it was clicked."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from model_export.data import columns

IMPRESSION_ID: Final = "impression_id"
PART: Final = "part"
HISTORY: Final = "history"
CANDIDATES: Final = "candidates"
CLICKED: Final = "clicked"

IMPRESSIONS_SCHEMA: Final = pa.schema(
    [
        (PART, pa.string()),
        (IMPRESSION_ID, pa.string()),
        (columns.USER_ID, pa.string()),
        (columns.TIMESTAMP, pa.int64()),
        (HISTORY, pa.list_(pa.string())),
        (CANDIDATES, pa.list_(pa.string())),
        (CLICKED, pa.list_(pa.bool_())),
    ]
)
"""``part`` is the folder that a row came from (train, dev), ``clicked`` has a null for a candidate without a label."""
