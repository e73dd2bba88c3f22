r"""Read raw interactions and item texts into DATA/interactions.parquet and DATA/items.parquet.

formats (--format):
  movielens  ml-100k (u.data, u.item), ml-1m and ml-10m (*.dat), the csv releases (ratings.csv, movies.csv)
  recbole    atomic files: NAME.inter and, where there is one, NAME.item, with typed headers
  csv        interactions.* and items.* as CSV (.csv, .tsv), Parquet or JSON lines (.jsonl); column names by options
  mind       MIND news: behaviors.tsv and news.tsv; impressions are kept in DATA/impressions.parquet
  amazon     Amazon reviews 2018 or 2023 as JSON lines (also .gz) with their metadata file

Times may be epoch seconds, milliseconds, microseconds, nanoseconds (told by their size) or ISO 8601 (UTC where no
zone is named). Bad rows are counted, shown with file and line, and refused past --max-bad-rows. Nothing is written on
failure.

Example:
  python -m model_export prepare --format csv --input shop/ --output build/shop \
    --item-column sku --text-columns title,brand
"""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import TYPE_CHECKING, Final

from model_export.data import columns
from model_export.data.bad_rows import BadRows
from model_export.data.preparation import PreparationOptions, prepare, say
from model_export.data.readers.amazon import find_amazon
from model_export.data.readers.mind import find_mind
from model_export.data.readers.movielens import find_movielens
from model_export.data.readers.recbole import find_recbole
from model_export.data.readers.tabular import ColumnNames, TabularOptions, find_tabular
from model_export.data.timestamps import TIME_UNITS
from model_export.errors import DataError

if TYPE_CHECKING:
    import argparse

    from model_export.data.readers.raw_rows import RawSource

FORMATS: Final = ("movielens", "recbole", "csv", "mind", "amazon")
UTF_8_FORMATS: Final = ("mind", "amazon")
COLUMN_OPTIONS: Final = {
    "user_column": columns.USER_ID,
    "item_column": columns.ITEM_ID,
    "timestamp_column": columns.TIMESTAMP,
    "action_column": columns.ACTION,
    "rating_column": columns.RATING,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``prepare``."""
    parser.add_argument("--format", required=True, choices=FORMATS, help="what --input holds")
    parser.add_argument("--input", required=True, type=Path, metavar="DIR", help="folder with the raw files")
    parser.add_argument(
        "--output", required=True, type=Path, metavar="DATA", help="folder to write (whole or not at all)"
    )
    parser.add_argument(
        "--max-bad-rows", type=int, default=0, metavar="N", help="leave out up to N bad rows, refuse more (default 0)"
    )
    parser.add_argument(
        "--text-columns",
        metavar="A,B",
        help="item columns that make the text, joined in this order (default: text, else all string columns)",
    )
    parser.add_argument(
        "--drop-unused-items", action="store_true", help="leave out items that have no interaction (default: keep them)"
    )
    parser.add_argument("--action", help="the action of interactions that name none (default: by format)")
    parser.add_argument("--time-unit", choices=TIME_UNITS, default="auto", help="unit of numeric times (default auto)")
    parser.add_argument(
        "--encoding",
        help="text encoding of delimited files (default: utf-8, or by format; JSON lines, mind and amazon are utf-8)",
    )
    tabular = parser.add_argument_group("only for --format csv")
    tabular.add_argument("--delimiter", help="field delimiter (default: by suffix, comma for .csv, tab for .tsv)")
    for option, name in COLUMN_OPTIONS.items():
        tabular.add_argument(
            f"--{option.replace('_', '-')}", metavar="NAME", help=f"the input's name of {name} (default {name})"
        )


def run(arguments: argparse.Namespace) -> int:
    """Prepare; return 0."""
    if not arguments.input.is_dir():
        raise DataError(f"--input {arguments.input} is no folder, expected the folder with the raw files")
    _check(arguments)
    bad_rows = BadRows()
    source = _source(arguments, bad_rows)
    options = PreparationOptions(
        output=arguments.output,
        max_bad_rows=arguments.max_bad_rows,
        text_columns=_names(arguments.text_columns),
        action=arguments.action,
        drop_unused_items=arguments.drop_unused_items,
        time_unit=arguments.time_unit,
    )
    counts = prepare(source, options, bad_rows)
    say(
        f"{arguments.output}: {counts['interactions']:,} interactions of {counts['users']:,} users with "
        f"{counts['items']:,} items; next: python -m model_export train --data {arguments.output} --run RUN"
    )
    return 0


def _check(arguments: argparse.Namespace) -> None:
    foreign = [] if arguments.format == "csv" else ["delimiter", *COLUMN_OPTIONS]
    foreign += ["encoding"] if arguments.format in UTF_8_FORMATS else []
    for option in foreign:
        if getattr(arguments, option) is not None:
            raise DataError(f"--{option.replace('_', '-')} does not go with --format {arguments.format}, leave it out")
    if arguments.max_bad_rows < 0:
        raise DataError(f"--max-bad-rows is {arguments.max_bad_rows}, expected 0 or more")
    if arguments.text_columns is not None and not _names(arguments.text_columns):
        raise DataError(
            f"--text-columns is {arguments.text_columns!r}, expected names of item columns with commas between"
        )
    if arguments.delimiter is not None and len(arguments.delimiter) != 1:
        raise DataError(f"--delimiter is {arguments.delimiter!r}, expected one character")
    if arguments.encoding is not None:
        try:
            codecs.lookup(arguments.encoding)
        except LookupError as error:
            raise DataError(f"--encoding is {arguments.encoding!r}, expected a known one such as latin-1") from error


def _names(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(name.strip() for name in text.split(",") if name.strip())


def _source(arguments: argparse.Namespace, bad_rows: BadRows) -> RawSource:
    if arguments.format == "recbole":
        return find_recbole(arguments.input, bad_rows, encoding=arguments.encoding or "utf-8")
    if arguments.format == "csv":
        given = {name: getattr(arguments, option) for option, name in COLUMN_OPTIONS.items()}
        asked = {name: value for name, value in given.items() if value}
        options = TabularOptions(
            names=ColumnNames(of=ColumnNames().of | asked, asked_for=frozenset(asked)),
            delimiter=arguments.delimiter,
            encoding=arguments.encoding or "utf-8",
        )
        return find_tabular(arguments.input, bad_rows, options)
    if arguments.format == "mind":
        return find_mind(arguments.input, bad_rows)
    if arguments.format == "amazon":
        return find_amazon(arguments.input, bad_rows)
    return find_movielens(arguments.input, bad_rows, encoding=arguments.encoding)
