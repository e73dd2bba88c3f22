"""The columns of ``items.parquet`` that every bundle has; whatever else is there is shown to people."""

from typing import Final

ITEM_ID: Final = "item_id"
TEXT: Final = "text"
PRIOR: Final = "prior"
ITEM_KEY: Final = "item_key"

OWN_COLUMNS: Final = (ITEM_ID, TEXT, PRIOR, ITEM_KEY)
