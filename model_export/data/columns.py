"""The names of every column in ``interactions.parquet`` and ``items.parquet``."""

from typing import Final

USER_ID: Final = "user_id"
ITEM_ID: Final = "item_id"
ACTION: Final = "action"
TIMESTAMP: Final = "timestamp"
RATING: Final = "rating"
TEXT: Final = "text"

INTERACTIONS_FILE: Final = "interactions.parquet"
ITEMS_FILE: Final = "items.parquet"
IMPRESSIONS_FILE: Final = "impressions.parquet"
TRUTH_FILE: Final = "truth.npz"
