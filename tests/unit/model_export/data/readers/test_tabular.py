"""The csv format: CSV, Parquet and JSON lines with columns named by options."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pytest

from model_export.__main__ import main
from tests.unit.model_export.data.raw_files import EVENTS, ITEMS, parquet_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.model_export.data.conftest import Prepare


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
    events = parquet_bytes({"user_id": [5, 6], "item_id": [1, 2], "timestamp": [1600000000, 1600000001]})
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


def test_latin_1_reads_with_its_encoding_named(prepare: Prepare) -> None:
    """--encoding reads other encodings."""
    items = "item_id,title\na,Café\nb,Chair\n".encode("latin-1")
    done = prepare("csv", {"interactions.csv": EVENTS, "items.csv": items}, "--encoding", "latin-1")
    assert done.texts()["a"] == "Café"


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


def test_texts_that_a_training_encoded_go_with_the_data(prepare: Prepare, tmp_path: Path) -> None:
    """A cache of ours beside an earlier preparation is no reason to refuse."""
    files: dict[str, str | bytes] = {"interactions.csv": EVENTS, "items.csv": ITEMS}
    prepare("csv", files)
    (tmp_path / "out" / ".text_vectors").mkdir()
    assert prepare("csv", files).code == 0
    assert not (tmp_path / "out" / ".text_vectors").exists()


def test_raw_tables_are_not_taken_for_an_earlier_preparation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Preparing a folder into itself is refused, even if its files are called as ours are."""
    raw = parquet_bytes({"user_id": ["u"], "item_id": ["a"], "timestamp": [1_600_000_000]})
    (tmp_path / "interactions.parquet").write_bytes(raw)
    assert main(["prepare", "--format", "csv", "--input", str(tmp_path), "--output", str(tmp_path)]) == 2
    assert "has no prepared.json: its files are not prepared data" in capsys.readouterr().err
    assert (tmp_path / "interactions.parquet").read_bytes() == raw


def test_a_column_named_by_hand_wins_over_one_of_our_names(prepare: Prepare) -> None:
    """Where the files have the column that an option names and also one called as we call it, the named one counts."""
    events = "customer,user_id,sku,item_id,at,timestamp,event,action\nann,till 1,a,999,1600000000,1,buy,x\n"
    done = prepare(
        "csv",
        {"interactions.csv": events, "items.csv": "sku,item_id,title\na,999,Lamp\n"},
        *("--user-column", "customer", "--item-column", "sku", "--timestamp-column", "at", "--action-column", "event"),
    )
    assert done.events() == [("ann", "a", 1600000000000)]
    assert [row["action"] for row in done.interactions()] == ["buy"]
    assert done.texts() == {"a": "Lamp"}


def test_whole_numbers_that_parquet_holds_as_floats_are_the_same_ids(prepare: Prepare) -> None:
    """A missing id makes floats of a column of whole numbers: 4006381333931.0 is still 4006381333931."""
    events = parquet_bytes(
        {"user_id": [1.0, 2.0, 3.0], "item_id": [4006381333931.0, 7.0, None], "timestamp": [5, 6, 7]}
    )
    items = parquet_bytes({"item_id": [4006381333931, 7], "title": ["Lamp", "Chair"]})
    done = prepare("csv", {"interactions.parquet": events, "items.parquet": items}, "--max-bad-rows", "1")
    assert done.events() == [("1", "4006381333931", 5000), ("2", "7", 6000)]
    assert "item_id is empty" in done.said


def test_codes_with_leading_zeros_stay_as_they_are(prepare: Prepare) -> None:
    """A column of digits is a number unless it is a code, in which zeros in front mean something."""
    items = "item_id,title,ean,price\na,Lamp,00123,0.50\nb,007,00456,12\n"
    done = prepare("csv", {"interactions.csv": EVENTS, "items.csv": items}, "--text-columns", "title,ean")
    assert done.texts() == {"a": "Lamp. 00123", "b": "007. 00456"}
    assert [(row["ean"], row["price"]) for row in done.items()] == [("00123", 0.5), ("00456", 12.0)]


def test_a_byte_order_mark_is_no_part_of_the_first_column(prepare: Prepare) -> None:
    """Excel writes one; it is skipped however UTF-8 is spelt."""
    files = {"interactions.csv": "\ufeff" + EVENTS, "items.csv": "\ufeff" + ITEMS}
    assert prepare("csv", files).code == 0
    assert prepare("csv", files, "--encoding", "UTF8").code == 0


def test_what_was_done_is_told_by_action(prepare: Prepare) -> None:
    """Two spellings of an action are two actions; the counts show it."""
    events = "user_id,item_id,timestamp,action\n1,a,5,view\n1,b,6,view\n1,a,7,View\n"
    assert "actions: view (2), View (1)" in prepare("csv", {"interactions.csv": events, "items.csv": ITEMS}).said


def test_times_and_repeated_rows_are_told(prepare: Prepare) -> None:
    """A misread unit and a log that was written twice can be seen at once; repetitions stay."""
    events = EVENTS + "2,a,1600000050\n2,a,1600000051\n2,b,1600000050\n1,a,1600000050\n"
    done = prepare("csv", {"interactions.csv": events, "items.csv": ITEMS})
    assert "times: 2020-09-13 12:26 to 2020-09-13 12:28 UTC" in done.said
    assert "\n1 interactions repeat an earlier one (same user, item, action and time); they are kept" in done.said
    assert len(done.events()) == 7
    assert "repeat an earlier" not in prepare("csv", {"interactions.csv": EVENTS, "items.csv": ITEMS}).said


def test_json_lines_of_other_programs(prepare: Prepare) -> None:
    """A byte order mark is skipped, and 7.0 is the same id as 7."""
    lines = '\ufeff{"user_id": 7.0, "item_id": 1, "timestamp": 5}\n{"user_id": 7, "item_id": 1.0, "timestamp": 6}\n'
    done = prepare("csv", {"interactions.jsonl": lines})
    assert done.events() == [("7", "1", 5000), ("7", "1", 6000)]
