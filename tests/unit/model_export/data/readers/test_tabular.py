"""The csv format: CSV, Parquet and JSON lines with columns named by options."""

from __future__ import annotations

import gzip
import io
import json
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.model_export.data.conftest import Prepare

ITEMS = "item_id,title,category\na,Red lamp,Lighting\nb,Blue chair,Seating\n"
EVENTS = "user_id,item_id,timestamp\n1,a,1600000000\n1,b,1600000100\n2,a,1600000050\n"


def _parquet(table: dict[str, list[object]]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(table), sink)
    return sink.getvalue()


def test_csv_becomes_interactions_in_time_order_and_items_with_text(prepare: Prepare) -> None:
    """Two CSV files become the two Parquet files; all string columns of an item make its text."""
    done = prepare("csv", {"interactions.csv": EVENTS, "items.csv": ITEMS})
    assert done.code == 0
    assert done.events() == [("1", "a", 1600000000000), ("2", "a", 1600000050000), ("1", "b", 1600000100000)]
    assert done.texts() == {"a": "Red lamp. Lighting", "b": "Blue chair. Seating"}
    assert {row["action"] for row in done.interactions()} == {"view"}
    assert {row["rating"] for row in done.interactions()} == {None}


def test_ties_keep_file_order(prepare: Prepare) -> None:
    """Events of one moment stay in the order of the file."""
    rows = "".join(f"u,{item},7\n" for item in "abab")
    done = prepare("csv", {"interactions.csv": "user_id,item_id,timestamp\nu,b,9\n" + rows, "items.csv": ITEMS})
    assert [item for _, item, _ in done.events()] == ["a", "b", "a", "b", "b"]


def test_parquet_and_json_lines_say_the_same_as_csv(prepare: Prepare) -> None:
    """Parquet interactions with integer ids and gzipped JSON-lines items give what CSV gives."""
    lines = [{"item_id": 1, "title": "Lamp", "tags": ["red", "old"], "size": {"w": 1}}, {"item_id": 2, "title": None}]
    packed = gzip.compress("\n".join(json.dumps(line) for line in lines).encode())
    events = _parquet({"user_id": [5, 6], "item_id": [1, 2], "timestamp": [1600000000, 1600000001]})
    done = prepare("csv", {"interactions.parquet": events, "items.jsonl.gz": packed})
    assert done.events() == [("5", "1", 1600000000000), ("6", "2", 1600000001000)]
    assert done.texts() == {"1": "Lamp. red, old", "2": "2"}
    assert "1 of 2 items have no text; their id stands in for it" in done.said


def test_other_column_names_actions_and_ratings(prepare: Prepare) -> None:
    """Columns go by the names of the options; a row without an action gets --action."""
    done = prepare(
        "csv",
        {
            "interactions.csv": "who;sku;when;what;stars\n1;a;2020-01-01;buy;4.5\n1;b;2020-01-02;;\n",
            "items.csv": "sku;title\na;A\nb;B\n",
        },
        *("--delimiter", ";", "--user-column", "who", "--item-column", "sku", "--timestamp-column", "when"),
        *("--action-column", "what", "--rating-column", "stars", "--action", "click"),
    )
    assert [(row["action"], row["rating"]) for row in done.interactions()] == [("buy", 4.5), ("click", None)]


def test_text_columns_are_joined_in_the_order_asked_for(prepare: Prepare) -> None:
    """--text-columns names the columns and their order; the others are kept to show."""
    items = "item_id,title,category,price\na,Red lamp,Lighting,9.5\nb,,Seating,12\n"
    done = prepare("csv", {"interactions.csv": EVENTS, "items.csv": items}, "--text-columns", "category,title")
    assert done.texts() == {"a": "Lighting. Red lamp", "b": "Seating"}
    assert [row["price"] for row in done.items()] == [9.5, 12.0]


def test_a_text_column_is_used_as_it_is(prepare: Prepare) -> None:
    """Where items have a column text, it is the text."""
    items = "item_id,title,text\na,Lamp,A red lamp.\nb,Chair,A blue chair.\n"
    done = prepare("csv", {"interactions.csv": EVENTS, "items.csv": items})
    assert done.texts() == {"a": "A red lamp.", "b": "A blue chair."}


def test_quoted_fields_may_hold_delimiters_quotes_and_line_breaks(prepare: Prepare) -> None:
    """CSV quoting is understood; white space in texts becomes single."""
    items = 'item_id,title\na,"Lamp, ""red""\nand old"\nb,Chair\n'
    done = prepare("csv", {"interactions.csv": EVENTS, "items.csv": items})
    assert done.texts() == {"a": 'Lamp, "red" and old', "b": "Chair"}


def test_a_byte_order_mark_and_windows_line_ends_are_understood(prepare: Prepare) -> None:
    """A file as Excel saves it reads like any other."""
    done = prepare(
        "csv", {"interactions.csv": b"\xef\xbb\xbf" + EVENTS.replace("\n", "\r\n").encode(), "items.csv": ITEMS}
    )
    assert len(done.events()) == 3


def test_without_item_file_ids_stand_in_for_texts(prepare: Prepare) -> None:
    """Interactions alone are enough; the absence of texts is said."""
    done = prepare("csv", {"interactions.csv": EVENTS})
    assert done.texts() == {"a": "a", "b": "b"}
    assert "the source has no item texts" in done.said


def test_unused_items_are_kept_unless_dropped(prepare: Prepare) -> None:
    """An item nobody touched stays in the catalogue, and leaves it with --drop-unused-items."""
    files: dict[str, str | bytes] = {"interactions.csv": EVENTS, "items.csv": ITEMS + "c,Green sofa,Seating\n"}
    kept = prepare("csv", files)
    assert "1 of 3 items have no interaction" in kept.said
    assert list(kept.texts()) == ["a", "b", "c"]
    assert list(prepare("csv", files, "--drop-unused-items").texts()) == ["a", "b"]


@pytest.mark.parametrize(
    ("events", "items", "sentence"),
    [
        ("", ITEMS, "interactions.csv is empty, expected a header line and rows"),
        ("user_id,item_id,timestamp\n", ITEMS, "interactions.csv has no rows, expected at least one"),
        (EVENTS, "item_id,title\n", "items.csv has no rows, expected at least one"),
        (
            "user_id,product,timestamp\n1,a,5\n",
            ITEMS,
            "interactions.csv has no column 'item_id'; its columns are user_id, product, timestamp",
        ),
        ("user_id;item_id;timestamp\n1;a;5\n", ITEMS, "is the delimiter another one (--delimiter)?"),
        ("user_id,item_id,item_id,timestamp\n1,a,a,5\n", ITEMS, "interactions.csv has the column 'item_id' twice"),
        (EVENTS, "sku,title\na,Lamp\n", "items.csv has no column 'item_id'; its columns are sku, title"),
        (
            EVENTS,
            "item_id,title\na,Lamp\nb,Caf\xe9\n".encode("latin-1"),
            "items.csv line 3 is not utf-8 text (byte 0xe9 at column 6); name the encoding of the file with --encoding",
        ),
        (
            EVENTS,
            ITEMS + "a,Green lamp,Lighting\n",
            "items.csv line 4: the item 'a' stands already on line 2, expected every item once",
        ),
        (EVENTS + "3,z,1600000000\n", ITEMS, "interactions.csv line 5: the item_id 'z' is not in the item file"),
        (EVENTS + "3,a\n", ITEMS, "interactions.csv line 5: 2 fields, expected 3: '3,a'"),
        (EVENTS + ",a,5\n", ITEMS, "interactions.csv line 5: the user_id is empty"),
        (EVENTS + "3,,5\n", ITEMS, "interactions.csv line 5: the item_id is empty"),
        (
            EVENTS + "3,a,soon\n",
            ITEMS,
            "interactions.csv line 5: the timestamp 'soon' is no time between 1970 and 2100",
        ),
        (EVENTS + "3,a,\n", ITEMS, "interactions.csv line 5: the timestamp '' is no time between 1970 and 2100"),
        (EVENTS + "3,a,-5\n", ITEMS, "interactions.csv line 5: the timestamp '-5' is no time between 1970 and 2100"),
        ("user_id,item_id,timestamp\n1,a,x\n", ITEMS, "1 bad rows (1 bad timestamp), expected at most 0"),
        (
            "user_id,item_id,timestamp,rating\n1,a,5,good\n",
            ITEMS,
            "interactions.csv line 2: the rating 'good' is no number",
        ),
        (EVENTS, ITEMS + ",Sofa,Seating\n", "items.csv line 4: the item_id is empty"),
    ],
)
def test_what_is_wrong_with_csv_is_one_clear_sentence(
    prepare: Prepare, events: str | bytes, items: str | bytes, sentence: str
) -> None:
    """Wrong input ends with code 2, a sentence that names file, line and expectation, and nothing written."""
    done = prepare("csv", {"interactions.csv": events, "items.csv": items})
    assert done.code == 2
    assert sentence in done.said


def test_bad_rows_up_to_the_limit_are_left_out_and_shown(prepare: Prepare) -> None:
    """With --max-bad-rows the bad rows are counted by reason, shown with their lines, and left out."""
    events = EVENTS + "3,z,5\n\n4,a,never\n5,a\n"
    done = prepare("csv", {"interactions.csv": events, "items.csv": ITEMS}, "--max-bad-rows", "3")
    assert done.code == 0
    assert len(done.events()) == 3
    assert "left out 3 bad rows" in done.said
    for sentence in ("line 5: the item_id 'z'", "line 7: the timestamp 'never'", "line 8: 2 fields"):
        assert sentence in done.said


def test_one_bad_row_more_than_the_limit_is_refused(prepare: Prepare) -> None:
    """The message says how many there are and how to leave them out."""
    done = prepare("csv", {"interactions.csv": EVENTS + "3,z,5\n3,z,6\n", "items.csv": ITEMS}, "--max-bad-rows", "1")
    assert done.code == 2
    assert "2 bad rows (2 unknown item), expected at most 1" in done.said
    assert "--max-bad-rows 2" in done.said


def test_line_numbers_count_line_breaks_inside_of_fields(prepare: Prepare) -> None:
    """The line of a bad row is its line in an editor, also after fields that span lines."""
    items = 'item_id,title\na,"one\ntwo\nthree"\nb,Chair\na,again\n'
    done = prepare("csv", {"interactions.csv": EVENTS, "items.csv": items})
    assert "items.csv line 6: the item 'a' stands already on line 2" in done.said


def test_a_missing_text_column_is_named(prepare: Prepare) -> None:
    """--text-columns with a name that the items lack is refused with the names that they have."""
    done = prepare("csv", {"interactions.csv": EVENTS, "items.csv": ITEMS}, "--text-columns", "title,brand")
    assert done.code == 2
    assert "the items have no column 'brand'; their columns are item_id, title, category" in done.said


def test_an_optional_column_asked_for_by_name_must_exist(prepare: Prepare) -> None:
    """--action-column is a promise that there is such a column."""
    done = prepare("csv", {"interactions.csv": EVENTS, "items.csv": ITEMS}, "--action-column", "what")
    assert done.code == 2
    assert "interactions.csv has no column 'what'" in done.said


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ('{"user_id": 1, "item_id": "a", "timestamp": 5}\nnonsense\n', "interactions.jsonl line 2: not JSON"),
        ('{"user_id": 1, "item_id": "a", "timestamp": 5}\n\n[1]\n', "interactions.jsonl line 3: not a JSON object"),
        ('[{"user_id": 1}]', "interactions.jsonl begins with '[', expected JSON lines"),
        ("", "interactions.jsonl is empty, expected one JSON object a line"),
        (
            '{"user_id": 1, "sku": "a", "timestamp": 5}\n',
            "has no member 'item_id' in its objects; the first has user_id, sku",
        ),
        ('{"user_id": null, "item_id": "a", "timestamp": 5}\n', "interactions.jsonl line 1: the user_id is empty"),
    ],
)
def test_what_is_wrong_with_json_lines_is_one_clear_sentence(prepare: Prepare, lines: str, sentence: str) -> None:
    """Wrong JSON lines end with code 2 and a sentence that names file, line and expectation."""
    done = prepare("csv", {"interactions.jsonl": lines, "items.csv": ITEMS})
    assert done.code == 2
    assert sentence in done.said


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"no parquet", "interactions.parquet is not a Parquet file"),
        (_parquet({"user_id": [1], "item_id": ["a"]}), "interactions.parquet has no column 'timestamp'"),
        (
            _parquet(
                {"user_id": pa.array([], "int64"), "item_id": pa.array([], "str"), "timestamp": pa.array([], "int64")}
            ),
            "interactions.parquet has no rows",
        ),
        (
            _parquet({"user_id": [1], "item_id": ["z"], "timestamp": [5]}),
            "interactions.parquet line 1: the item_id 'z'",
        ),
    ],
)
def test_what_is_wrong_with_parquet_is_one_clear_sentence(prepare: Prepare, content: bytes, sentence: str) -> None:
    """Wrong Parquet ends with code 2 and a sentence."""
    done = prepare("csv", {"interactions.parquet": content, "items.csv": ITEMS})
    assert done.code == 2
    assert sentence in done.said


def test_two_interactions_files_are_refused(prepare: Prepare) -> None:
    """Which of two files is meant is not guessed."""
    done = prepare("csv", {"interactions.csv": EVENTS, "interactions.jsonl": "{}", "items.csv": ITEMS})
    assert done.code == 2
    assert "has both interactions.csv and interactions.jsonl, expected one interactions file" in done.said


def test_no_interactions_file_is_refused(prepare: Prepare) -> None:
    """An input without interactions is told what is expected."""
    done = prepare("csv", {"items.csv": ITEMS})
    assert done.code == 2
    assert "has no interactions file" in done.said


def test_latin_1_reads_with_its_encoding_named(prepare: Prepare) -> None:
    """--encoding reads other encodings."""
    items = "item_id,title\na,Café\nb,Chair\n".encode("latin-1")
    done = prepare("csv", {"interactions.csv": EVENTS, "items.csv": items}, "--encoding", "latin-1")
    assert done.texts()["a"] == "Café"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--encoding", "klingon"), "--encoding is 'klingon', expected a known one"),
        (("--delimiter", "ab"), "--delimiter is 'ab', expected one character"),
        (("--max-bad-rows", "-1"), "--max-bad-rows is -1, expected 0 or more"),
    ],
)
def test_senseless_options_are_refused(prepare: Prepare, options: tuple[str, ...], sentence: str) -> None:
    """Options out of bounds end with a sentence."""
    done = prepare("csv", {"interactions.csv": EVENTS, "items.csv": ITEMS}, *options)
    assert done.code == 2
    assert sentence in done.said


def test_an_earlier_preparation_is_replaced_and_other_files_are_not(prepare: Prepare, tmp_path: Path) -> None:
    """The output folder is replaced as a whole, unless somebody keeps other files there."""
    files: dict[str, str | bytes] = {"interactions.csv": EVENTS, "items.csv": ITEMS}
    prepare("csv", files)
    files["interactions.csv"] = EVENTS + "9,a,1600000900\n"
    assert len(prepare("csv", files).events()) == 4
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(AssertionError):
        prepare("csv", files)
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"
    assert (tmp_path / "out" / "interactions.parquet").exists()
