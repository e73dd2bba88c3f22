"""Amazon reviews as published in 2018 and in 2023: JSON lines of reviews, JSON lines of product metadata."""

from __future__ import annotations

import codecs
import html
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
import pyarrow as pa

from model_export.data import columns
from model_export.data.readers.input_bytes import open_bytes
from model_export.data.readers.json_lines import read_json_lines
from model_export.data.readers.raw_rows import RawRows, RawSource, RowBatches
from model_export.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from model_export.data.bad_rows import BadRows

SUFFIXES: Final = (".json", ".jsonl", ".json.gz", ".jsonl.gz")
METADATA_PREFIX: Final = "meta_"
LONGEST_VALUE: Final = 600
"""Characters kept of a metadata value; BERT reads the beginning only."""

TAG: Final = re.compile(r"<[^>]{0,500}>")
TEXT_COLUMNS: Final = ("title", "brand", "category", "description")


@dataclass(frozen=True, slots=True)
class _Edition:
    """The names that an edition gives to things: theirs -> ours."""

    year: int
    reviews: dict[str, str]
    metadata: dict[str, str]


EDITIONS: Final = (
    _Edition(
        2018,
        {
            "reviewerID": columns.USER_ID,
            "asin": columns.ITEM_ID,
            "overall": columns.RATING,
            "unixReviewTime": columns.TIMESTAMP,
        },
        {
            "asin": columns.ITEM_ID,
            "title": "title",
            "brand": "brand",
            "category": "category",
            "description": "description",
            "price": "price",
        },
    ),
    _Edition(
        2023,
        {
            "user_id": columns.USER_ID,
            "parent_asin": columns.ITEM_ID,
            "rating": columns.RATING,
            "timestamp": columns.TIMESTAMP,
        },
        {
            "parent_asin": columns.ITEM_ID,
            "title": "title",
            "store": "brand",
            "categories": "category",
            "description": "description",
            "price": "price",
        },
    ),
)


def find_amazon(folder: Path, bad_rows: BadRows) -> RawSource:
    """Open the reviews file and the metadata file (``meta_*``), plain or ``.gz``.

    The text of a product is title, brand, categories and description; markup is taken out.

    Raises:
        DataError: If there is not exactly one of each, or the first review is of neither edition.
    """
    files = sorted(path for path in folder.iterdir() if path.name.lower().endswith(SUFFIXES))
    metadata = _only([path for path in files if path.name.startswith(METADATA_PREFIX)], folder, "metadata file meta_*")
    reviews = _only([path for path in files if not path.name.startswith(METADATA_PREFIX)], folder, "reviews file")
    edition = _edition_of(reviews)
    return RawSource(
        interactions=lambda: (
            rows.renamed(edition.reviews) for rows in read_json_lines(reviews, tuple(edition.reviews), bad_rows)
        ),
        items=lambda: _products(metadata, edition, bad_rows),
        action="review",
        text_columns=TEXT_COLUMNS,
    )


def without_markup(value: str) -> str:
    """Return a metadata value without markup and entities, at most `LONGEST_VALUE` characters.

    >>> without_markup("Salt &amp; <b>Pepper</b>")
    'Salt & Pepper'
    """
    if "&" in value or "<" in value:
        value = TAG.sub(" ", html.unescape(value))
    flat = " ".join(value[: 2 * LONGEST_VALUE].split())
    return flat.replace(" , ", " ").replace("., ", ". ")[:LONGEST_VALUE]


def _products(path: Path, edition: _Edition, bad_rows: BadRows) -> RowBatches:
    names = tuple(edition.metadata)
    for rows in read_json_lines(path, names, bad_rows, required=names[:1]):
        named = rows.renamed(edition.metadata)
        cleaned = {
            name: array if name == columns.ITEM_ID else pa.array(map(without_markup, array.to_pylist()), pa.string())
            for name, array in named.columns.items()
        }
        yield RawRows(named.file, named.lines, cleaned)


def _only(found: list[Path], folder: Path, what: str) -> Path:
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise DataError(f"{folder} has {names}, expected exactly one {what} ({', '.join(SUFFIXES)})")
    return found[0]


def _edition_of(reviews: Path) -> _Edition:
    with open_bytes(reviews) as stream:
        line = io.BufferedReader(stream).readline().removeprefix(codecs.BOM_UTF8)
    if not line.strip():
        raise DataError(f"{reviews.name} is empty, expected one JSON object a line")
    try:
        keys = set(msgspec.json.decode(line))
    except ValueError as error:
        raise DataError(f"{reviews.name} line 1 is not JSON ({error}): {line[:60]!r}") from error
    for edition in EDITIONS:
        if keys >= set(edition.reviews):
            return edition
    wanted = " or ".join(f"{', '.join(edition.reviews)} ({edition.year})" for edition in EDITIONS)
    raise DataError(f"{reviews.name} line 1 has the members {', '.join(sorted(map(str, keys)))}, expected {wanted}")
