"""What is wrong with CSV, Parquet or JSON lines is said in one clear sentence."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from tests.unit.model_export.data.raw_files import EVENTS, ITEMS, parquet_bytes

if TYPE_CHECKING:
    from tests.unit.model_export.data.conftest import Prepare


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
        (
            "user_id,item_id,timestamp,action\n1,a,5,a\tb\n",
            ITEMS,
            "line 2: the action 'a\\tb' is no action, expected at most 128 printable characters",
        ),
        (
            "user_id,item_id,timestamp,action\n" + "".join(f"1,a,5,session {n}\n" for n in range(5000)),
            ITEMS,
            "interactions.csv has more than 4,096 actions, the latest 'session 4999'; expected a few kinds of events",
        ),
    ],
)
def test_what_is_wrong_with_csv_is_one_clear_sentence(
    prepare: Prepare, events: str | bytes, items: str | bytes, sentence: str
) -> None:
    """Wrong input ends with code 2, a sentence that names file, line and expectation, and nothing written."""
    done = prepare("csv", {"interactions.csv": events, "items.csv": items})
    assert done.code == 2
    assert sentence in done.said


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
        (parquet_bytes({"user_id": [1], "item_id": ["a"]}), "interactions.parquet has no column 'timestamp'"),
        (
            parquet_bytes(
                {"user_id": pa.array([], "int64"), "item_id": pa.array([], "str"), "timestamp": pa.array([], "int64")}
            ),
            "interactions.parquet has no rows",
        ),
        (
            parquet_bytes({"user_id": [1], "item_id": ["z"], "timestamp": [5]}),
            "interactions.parquet line 1: the item_id 'z'",
        ),
        (
            parquet_bytes({"user_id": [b"\xff"], "item_id": ["a"], "timestamp": [5]}),
            "interactions.parquet has no column 'user_id'",
        ),
        (
            parquet_bytes({"user_id": [1], "item_id": ["a"], "timestamp": pa.array([2**64 - 1], pa.uint64())}),
            "line 1: the timestamp '18446744073709551615' is no time",
        ),
        (
            parquet_bytes(
                {"user_id": [1], "item_id": ["a"], "timestamp": [5], "rating": [datetime(2020, 1, 1, tzinfo=UTC)]}
            ),
            "line 1: the rating '2020-01-01 00:00:00+00:00' is no number",
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


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--encoding", "klingon"), "--encoding is 'klingon', expected a known one"),
        (("--delimiter", "ab"), "--delimiter is 'ab', expected one character"),
        (("--text-columns", " ,"), "--text-columns is ' ,', expected names of item columns"),
        (("--max-bad-rows", "-1"), "--max-bad-rows is -1, expected 0 or more"),
    ],
)
def test_senseless_options_are_refused(prepare: Prepare, options: tuple[str, ...], sentence: str) -> None:
    """Options out of bounds end with a sentence."""
    done = prepare("csv", {"interactions.csv": EVENTS, "items.csv": ITEMS}, *options)
    assert done.code == 2
    assert sentence in done.said


@pytest.mark.parametrize(
    ("kind", "option"),
    [("movielens", "--user-column"), ("recbole", "--delimiter"), ("mind", "--encoding"), ("amazon", "--encoding")],
)
def test_options_of_another_format_are_refused(kind: str, option: str, prepare: Prepare) -> None:
    """An option that the format does not read is named, not ignored."""
    done = prepare(kind, {"interactions.csv": EVENTS}, option, "utf-8" if option == "--encoding" else ";")
    assert done.code == 2
    assert f"{option} does not go with --format {kind}, leave it out" in done.said


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
@pytest.mark.parametrize(
    ("content", "why"),
    [(b"no gzip", "incorrect header"), (gzip.compress(b"x" * 99)[:20], "Truncated")],
    ids=["another format", "cut off"],
)
def test_a_broken_gz_is_named(prepare: Prepare, suffix: str, content: bytes, why: str) -> None:
    """What is no gzip, or only the beginning of one, is refused by its name."""
    done = prepare("csv", {f"interactions.{suffix}.gz": content, "items.csv": ITEMS})
    assert done.code == 2
    assert f"interactions.{suffix}.gz cannot be decompressed, expected a whole .gz file: " in done.said
    assert why in done.said


def test_a_broken_gz_of_amazon_is_named(prepare: Prepare) -> None:
    """The same goes for reviews."""
    done = prepare("amazon", {"reviews.json.gz": b"no gzip", "meta_x.json": "{}"})
    assert (done.code, "reviews.json.gz cannot be decompressed" in done.said) == (2, True)


@pytest.mark.parametrize("name", ["items.xlsx", "items.csv.zst"])
def test_items_that_cannot_be_read_are_not_taken_for_missing(name: str, prepare: Prepare) -> None:
    """Without an item file ids stand in for the texts; one of another kind is an error instead."""
    done = prepare("csv", {"interactions.csv": EVENTS, name: b"x"})
    assert done.code == 2
    assert f"{name} cannot be read, expected items with one of .csv, .tsv" in done.said


def test_one_column_for_two_things_is_refused(prepare: Prepare) -> None:
    """The same name given for users and items is a slip."""
    options = ("--user-column", "id", "--item-column", "id")
    done = prepare("csv", {"interactions.csv": "id,timestamp\n1,5\n"}, *options)
    assert done.code == 2
    assert "the column 'id' is named for user_id and item_id, expected one of them" in done.said


def test_the_sample_of_the_page_is_what_is_said(prepare: Prepare) -> None:
    """The sample under “Bad rows” of ``docs/data.md`` is what ``prepare`` says, word for word."""
    page = (Path(__file__).parents[5] / "docs" / "data.md").read_text("utf-8")
    sample = page.partition("\n## Bad rows\n")[2].split("```")[1].strip()
    rows = "u1,a,1\nu1,b,2\nu2,a,3\nu2,z,4\nu2,b,5\nu3,a,never\nu3,b,7\n"
    done = prepare("csv", {"interactions.csv": f"user_id,item_id,timestamp\n{rows}", "items.csv": ITEMS})
    assert sample in done.said
