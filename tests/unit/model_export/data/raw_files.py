"""Raw input of the csv format, for tests."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

ITEMS = "item_id,title,category\na,Red lamp,Lighting\nb,Blue chair,Seating\n"
EVENTS = "user_id,item_id,timestamp\n1,a,1600000000\n1,b,1600000100\n2,a,1600000050\n"


def parquet_bytes(table: dict[str, Any]) -> bytes:
    """Return a table as the bytes of a Parquet file."""
    sink = io.BytesIO()
    pq.write_table(pa.table(table), sink)
    return sink.getvalue()
