"""Amazon reviews of 2018 and 2023."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest

from model_export.data.readers.amazon import LONGEST_VALUE, without_markup

if TYPE_CHECKING:
    from tests.unit.model_export.data.conftest import Prepare


def _lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


REVIEW_2018 = {"reviewerID": "A1", "asin": "B1", "overall": 5.0, "unixReviewTime": 1400000000, "reviewText": "x\ny"}
META_2018 = {
    "asin": "B1",
    "title": "Salt &amp; Pepper",
    "brand": "Acme",
    "category": ["Kitchen", "Mills"],
    "description": ["<b>Grinds.</b>", "Fine"],
    "price": "$9.99",
    "also_buy": ["B2"],
}
REVIEW_2023 = {"user_id": "A1", "asin": "B9", "parent_asin": "B1", "rating": 4, "timestamp": 1588687728923, "text": "x"}
META_2023 = {"parent_asin": "B1", "title": "Mill", "store": "Acme", "categories": ["Kitchen"], "details": {"w": 1}}


def test_the_2018_edition_reads_compressed(prepare: Prepare) -> None:
    """Reviews and metadata of 2018, gzipped, become ratings and plain texts."""
    files: dict[str, str | bytes] = {
        "Kitchen_5.json.gz": gzip.compress(_lines(REVIEW_2018).encode()),
        "meta_Kitchen.json.gz": gzip.compress(_lines(META_2018).encode()),
    }
    done = prepare("amazon", files)
    assert done.events() == [("A1", "B1", 1400000000000)]
    assert [(row["action"], row["rating"]) for row in done.interactions()] == [("review", 5.0)]
    assert done.texts() == {"B1": "Salt & Pepper. Acme. Kitchen, Mills. Grinds. Fine"}
    assert done.items()[0]["price"] == "$9.99"


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "with a byte order mark"])
def test_the_2023_edition_reads_by_parent(mark: str, prepare: Prepare) -> None:
    """Reviews of 2023 name the product by parent_asin and have milliseconds."""
    files: dict[str, str | bytes] = {
        "Kitchen.jsonl": mark + _lines(REVIEW_2023),
        "meta_Kitchen.jsonl": mark + _lines(META_2023),
    }
    done = prepare("amazon", files)
    assert done.events() == [("A1", "B1", 1588687728923)]
    assert done.texts() == {"B1": "Mill. Acme. Kitchen"}


def test_reviews_of_products_without_metadata_are_bad_rows(prepare: Prepare) -> None:
    """They are counted, and left out where that is allowed."""
    files: dict[str, str | bytes] = {
        "r.jsonl": _lines(REVIEW_2023, {**REVIEW_2023, "parent_asin": "B7"}),
        "meta_r.jsonl": _lines(META_2023),
    }
    assert prepare("amazon", files).code == 2
    done = prepare("amazon", files, "--max-bad-rows", "1")
    assert len(done.events()) == 1
    assert "r.jsonl line 2: the item_id 'B7' is not in the item file" in done.said


def test_markup_entities_and_length_are_taken_out_of_metadata() -> None:
    """Texts are what a person would read, cut where BERT stops anyway."""
    assert without_markup("<p>Salt &amp;\n Pepper</p>") == "Salt & Pepper"
    assert len(without_markup("word " * 1000)) <= LONGEST_VALUE


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, "has none, expected exactly one metadata file meta_*"),
        ({"meta_a.json": _lines(META_2018)}, "has none, expected exactly one reviews file"),
        (
            {"a.json": "{}", "b.json": "{}", "meta_a.json": _lines(META_2018)},
            "has a.json, b.json, expected exactly one reviews file",
        ),
        ({"a.json": "", "meta_a.json": _lines(META_2018)}, "a.json is empty, expected one JSON object a line"),
        ({"a.json": "x", "meta_a.json": _lines(META_2018)}, "a.json line 1 is not JSON"),
        (
            {"a.json": '{"asin": 1}', "meta_a.json": _lines(META_2018)},
            "a.json line 1 has the members asin, expected reviewerID, asin, overall, unixReviewTime (2018) or user_id",
        ),
        (
            {"a.json": _lines(REVIEW_2018), "meta_a.json": _lines({"title": "x"})},
            "meta_a.json has no member 'asin' in its objects; the first has title",
        ),
        (
            {"a.json": _lines(REVIEW_2018) + "{broken\n", "meta_a.json": _lines(META_2018)},
            "a.json line 2: not JSON",
        ),
        (
            {"a.json": _lines(REVIEW_2018), "meta_a.json": _lines(META_2018, META_2018)},
            "meta_a.json line 2: the item 'B1' stands already on line 1",
        ),
    ],
)
def test_what_is_wrong_with_amazon_is_one_clear_sentence(
    prepare: Prepare, files: dict[str, str | bytes], sentence: str
) -> None:
    """Wrong input ends with code 2, a sentence, and nothing written."""
    done = prepare("amazon", files)
    assert done.code == 2
    assert sentence in done.said
