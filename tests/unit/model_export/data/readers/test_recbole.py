"""RecBole's atomic files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.model_export.data.conftest import Prepare

INTER = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t10\t3\t881250949\n2\t20\t4.5\t881250948\n"
ITEM = 'item_id:token\tmovie_title:token_seq\tyear:token\tlength:float\n10\tToy "Story\t1995\t81\n20\tHeat\t1995\t170\n'


def test_atomic_files_become_a_prepared_folder(prepare: Prepare) -> None:
    """Headers lose their types, token columns make the text, a lone quote is just a character."""
    done = prepare("recbole", {"x.inter": INTER, "x.item": ITEM, "x.user": "user_id:token\n1\n"})
    assert done.events() == [("2", "20", 881250948000), ("1", "10", 881250949000)]
    assert [row["rating"] for row in done.interactions()] == [4.5, 3.0]
    assert done.texts() == {"10": 'Toy "Story. 1995', "20": "Heat. 1995"}
    assert [row["length"] for row in done.items()] == [81, 170]


def test_interactions_alone_are_enough(prepare: Prepare) -> None:
    """Without an item file the ids stand in for texts."""
    assert prepare("recbole", {"x.inter": INTER}).texts() == {"10": "10", "20": "20"}


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"x.item": ITEM}, "has no *.inter file, expected one"),
        ({"x.inter": INTER, "y.inter": INTER}, "has 2 files *.inter (x.inter, y.inter), expected one"),
        ({"x.inter": ""}, "x.inter is empty, expected a header line and rows"),
        ({"x.inter": INTER.replace(":token", "", 1)}, "x.inter: the column 'user_id' has no type, expected name:type"),
        ({"x.inter": INTER.replace("user_id", "uid")}, "x.inter has no column 'user_id'; its columns are uid, item_id"),
        ({"x.inter": INTER.replace("timestamp", "when")}, "x.inter has no column 'timestamp'"),
        ({"x.inter": INTER, "x.item": ITEM.replace("item_id", "id")}, "x.item has no column 'item_id'"),
        ({"x.inter": INTER + "1\t10\n", "x.item": ITEM}, "x.inter line 4: 2 fields, expected 4"),
        (
            {"x.inter": INTER + "1\t99\t3\t5\n", "x.item": ITEM},
            "x.inter line 4: the item_id '99' is not in the item file",
        ),
        (
            {"x.inter": INTER, "x.item": ITEM.encode() + b"30\tCaf\xe9\t1\t2\n"},
            "x.item line 4 is not utf-8 text (byte 0xe9",
        ),
    ],
)
def test_what_is_wrong_with_atomic_files_is_one_clear_sentence(
    prepare: Prepare, files: dict[str, str | bytes], sentence: str
) -> None:
    """Wrong input ends with code 2, a sentence, and nothing written."""
    done = prepare("recbole", files)
    assert done.code == 2
    assert sentence in done.said
