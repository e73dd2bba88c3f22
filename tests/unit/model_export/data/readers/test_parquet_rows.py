"""Parquet of the csv format, in the types that other programs write."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import pyarrow as pa
import pytest

from tests.unit.model_export.data.raw_files import EVENTS, parquet_bytes

if TYPE_CHECKING:
    from tests.unit.model_export.data.conftest import Prepare


def test_parquet_of_other_programs(prepare: Prepare) -> None:
    """Bytes are text where they can be; a list keeps what is there; an embedding is no text."""
    items = {"item_id": [b"a", b"b"], "title": [b"Lamp", b"Chair"], "picture": [b"\xff", b"\xfe"]}
    lists = {"tags": [["red", None, "old"], None], "embedding": [[0.5, 1.0], [0.25, 2.0]]}
    done = prepare("csv", {"interactions.csv": EVENTS, "items.parquet": parquet_bytes(items | lists)})
    assert done.texts() == {"a": "Lamp. red, old", "b": "Chair"}


@pytest.mark.parametrize("text", [pa.large_string(), pa.string_view(), pa.binary(), pa.binary_view()], ids=str)
def test_every_type_of_text_in_parquet_is_the_same_text(text: pa.DataType, prepare: Prepare) -> None:
    """Ids, texts, times and numbers in text are read as in CSV, whichever type a program has written them in."""

    def column(*values: str) -> pa.Array:
        return pa.array([value.encode() for value in values]).cast(text)

    items = {"item_id": column("a", "b"), "title": column("Lamp", "Chair"), "price": column("7", "8.5")}
    events = {"user_id": column("1", "2"), "item_id": column("b", "a"), "timestamp": column("1600000000", "2020-09-14")}
    done = prepare("csv", {"interactions.parquet": parquet_bytes(events), "items.parquet": parquet_bytes(items)})
    assert done.events() == [("1", "b", 1600000000000), ("2", "a", 1600041600000)]
    assert done.texts() == {"a": "Lamp", "b": "Chair"}
    assert [row["price"] for row in done.items()] == [7.0, 8.5]


def test_uuids_of_parquet_are_ids_as_people_write_them(prepare: Prepare) -> None:
    """A column of Parquet's UUID type gives 36 characters, as CSV would have them."""
    one = UUID("12345678-9abc-def0-1234-56789abcdef0")
    items = {"item_id": pa.array([one.bytes], pa.uuid()), "title": ["Lamp"]}
    events = {"user_id": ["1"], "item_id": pa.array([one.bytes], pa.uuid()), "timestamp": [1600000000]}
    done = prepare("csv", {"interactions.parquet": parquet_bytes(events), "items.parquet": parquet_bytes(items)})
    assert done.events() == [("1", str(one), 1600000000000)]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (pa.array([[["red"], ["old", "small"]]]), "Lamp. red, old, small"),
        (pa.array([["red", "old"]], pa.list_(pa.string(), 2)), "Lamp. red, old"),
        (pa.array([["red"]], pa.list_view(pa.string())), "Lamp. red"),
        (pa.array([[b"red"]]), "Lamp. red"),
        (pa.array([[b"\xff"]]), "Lamp"),
        (pa.array([[{"name": "red"}]]), "Lamp"),
        (pa.array([[0.5, 1.0]], pa.list_(pa.float32(), 2)), "Lamp"),
        (pa.array([b"\xff\xfe"]), "Lamp"),
    ],
    ids=lambda value: value if isinstance(value, str) else str(value.type),
)
def test_nested_columns_are_words_or_left_out(values: pa.Array, text: str, prepare: Prepare) -> None:
    """Lists of words are joined; what holds no words is in neither texts nor columns."""
    items = {"item_id": ["a"], "title": ["Lamp"], "more": values}
    events = parquet_bytes({"user_id": ["1"], "item_id": ["a"], "timestamp": [1600000000]})
    done = prepare("csv", {"interactions.parquet": events, "items.parquet": parquet_bytes(items)})
    assert done.texts() == {"a": text}
    assert ("more" in done.items()[0]) == (text != "Lamp")
