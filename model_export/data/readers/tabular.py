"""The ``csv`` format: ``interactions.*`` and ``items.*`` as CSV, Parquet or JSON lines, columns named by options."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from model_export.data import columns
from model_export.data.readers.delimited import Layout, header_of, read_delimited
from model_export.data.readers.json_lines import read_json_lines
from model_export.data.readers.parquet_rows import parquet_columns, read_parquet
from model_export.data.readers.raw_rows import RawSource, RowBatches
from model_export.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from model_export.data.bad_rows import BadRows

DELIMITED: Final = {".csv": ",", ".tsv": "\t"}
JSON_LINES: Final = (".json", ".jsonl", ".ndjson")
PARQUET: Final = (".parquet", ".pq")
KNOWN: Final = (*DELIMITED, *JSON_LINES, *PARQUET)
REQUIRED: Final = (columns.USER_ID, columns.ITEM_ID, columns.TIMESTAMP)

_SUFFIXES: Final = f"{', '.join(KNOWN)} (text formats also with .gz)"


@dataclass(frozen=True, slots=True)
class ColumnNames:
    """What the input calls our columns.

    Attributes:
        of: Our column -> its name in the files.
        asked_for: Our columns whose name was given by hand; they must exist even where they are optional.
    """

    of: dict[str, str] = field(
        default_factory=lambda: {
            name: name for name in (columns.USER_ID, columns.ITEM_ID, columns.TIMESTAMP, columns.ACTION, columns.RATING)
        }
    )
    asked_for: frozenset[str] = frozenset()

    @property
    def to_ours(self) -> dict[str, str]:
        """The files' name -> our column. A name given by hand is not taken for another column by its default.

        Raises:
            DataError: If two of our columns were given the same name by hand.
        """
        ours_of: dict[str, str] = {}
        for ours in sorted(self.of, key=self.asked_for.__contains__, reverse=True):
            theirs = self.of[ours]
            if ours in self.asked_for and theirs in ours_of:
                raise DataError(
                    f"the column {theirs!r} is named for {ours_of[theirs]} and {ours}, expected one of them"
                )
            ours_of.setdefault(theirs, ours)
        return ours_of


@dataclass(frozen=True, slots=True)
class TabularOptions:
    """How the files are written.

    Attributes:
        names: Column names.
        delimiter: Of delimited files; None for what the suffix says.
        encoding: Of delimited files.
    """

    names: ColumnNames = field(default_factory=ColumnNames)
    delimiter: str | None = None
    encoding: str = "utf-8"


def find_tabular(folder: Path, bad_rows: BadRows, options: TabularOptions) -> RawSource:
    """Open ``interactions.*`` and, where there is one, ``items.*``.

    Raises:
        DataError: If there are no or several interactions files, or a required column is missing.
    """
    interactions = _file(folder, "interactions")
    if interactions is None:
        raise DataError(f"{folder} has no interactions file, expected interactions with one of {_SUFFIXES}")
    items = _file(folder, "items")
    of = options.names.of
    required = tuple(of[name] for name in of if name in REQUIRED or name in options.names.asked_for)
    to_ours = options.names.to_ours
    wanted = _existing(interactions, options, required, tuple(to_ours))
    if items is not None:
        _existing(items, options, (of[columns.ITEM_ID],), ())
    return RawSource(
        interactions=lambda: (
            rows.renamed(to_ours) for rows in _rows(interactions, options, wanted, required, bad_rows)
        ),
        items=None if items is None else lambda: _items(items, options, bad_rows),
    )


def _items(path: Path, options: TabularOptions, bad_rows: BadRows) -> RowBatches:
    item_id = options.names.of[columns.ITEM_ID]
    for rows in _rows(path, options, None, (item_id,), bad_rows):
        yield rows.renamed({item_id: columns.ITEM_ID})


def _suffix(path: Path) -> str:
    return path.with_suffix("").suffix.lower() if path.suffix == ".gz" else path.suffix.lower()


def _file(folder: Path, stem: str) -> Path | None:
    named = [path for path in sorted(folder.glob(f"{stem}.*")) if path.name.split(".")[0] == stem]
    found = [path for path in named if _suffix(path) in KNOWN]
    if len(found) > 1:
        raise DataError(f"{folder} has both {found[0].name} and {found[1].name}, expected one {stem} file")
    if named and not found:
        raise DataError(f"{named[0].name} cannot be read, expected {stem} with one of {_SUFFIXES}")
    return found[0] if found else None


def _layout(path: Path, options: TabularOptions) -> Layout:
    return Layout(delimiter=options.delimiter or DELIMITED[_suffix(path)], encoding=options.encoding)


def _existing(
    path: Path, options: TabularOptions, required: tuple[str, ...], wanted: tuple[str, ...]
) -> tuple[str, ...]:
    """Return those of ``wanted`` that the file has; JSON lines say only row by row what they have.

    Raises:
        DataError: If the file lacks one of ``required``.
    """
    if _suffix(path) in JSON_LINES:
        return wanted
    existing = parquet_columns(path) if _suffix(path) in PARQUET else header_of(path, _layout(path, options))
    for name in required:
        if name not in existing:
            hint = "; is the delimiter another one (--delimiter)?" if len(existing) == 1 else ""
            raise DataError(f"{path.name} has no column {name!r}; its columns are {', '.join(existing)}{hint}")
    return tuple(name for name in wanted if name in existing)


def _rows(
    path: Path,
    options: TabularOptions,
    wanted: tuple[str, ...] | None,
    required: tuple[str, ...],
    bad_rows: BadRows,
) -> RowBatches:
    if _suffix(path) in JSON_LINES:
        return read_json_lines(path, wanted, bad_rows, required=required)
    if _suffix(path) in PARQUET:
        return read_parquet(path, wanted)
    return read_delimited(path, _layout(path, options), bad_rows)
