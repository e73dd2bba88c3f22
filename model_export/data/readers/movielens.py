"""MovieLens in its three shapes: ml-100k (``u.data``), ml-1m and ml-10m (``*.dat``), the csv releases."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from model_export.data import columns
from model_export.data.readers.delimited import Layout, header_of, read_delimited
from model_export.data.readers.raw_rows import RawRows, RawSource, RowBatches
from model_export.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from model_export.data.bad_rows import BadRows

EVENT_COLUMNS: Final = (columns.USER_ID, columns.ITEM_ID, columns.RATING, columns.TIMESTAMP)
CSV_EVENT_COLUMNS: Final = {
    "userId": columns.USER_ID,
    "movieId": columns.ITEM_ID,
    "rating": columns.RATING,
    "timestamp": columns.TIMESTAMP,
}
GENRES_100K: Final = (
    "", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip
"""Of the 19 flags in ``u.item``; the first means unknown."""

TITLE: Final = "title"
YEAR: Final = "year"
GENRES: Final = "genres"
YEAR_AT_END: Final = re.compile(r"\s*\((\d{4})[^)]*\)\s*$")
ARTICLE_AT_END: Final = re.compile(r"^(.+?), (The|A|An|La|Le|Les|L'|Il|El|Los|Las|Der|Die|Das)((?: \(.*)?)$")


@dataclass(frozen=True, slots=True)
class _Shape:
    """One of the three shapes: which files, how they are written."""

    events: str
    films: str
    event_layout: Layout
    film_layout: Layout


SHAPES: Final = (
    _Shape(
        "u.data",
        "u.item",
        Layout(delimiter="\t", quoted=False, names=EVENT_COLUMNS),
        Layout(
            delimiter="|",
            quoted=False,
            encoding="latin-1",
            names=(columns.ITEM_ID, TITLE, "released", "video", "url", *(f"flag{n}" for n in range(19))),
        ),
    ),
    _Shape(
        "ratings.dat",
        "movies.dat",
        Layout(delimiter="::", quoted=False, names=EVENT_COLUMNS),
        Layout(delimiter="::", quoted=False, names=(columns.ITEM_ID, TITLE, GENRES)),
    ),
    _Shape("ratings.csv", "movies.csv", Layout(), Layout()),
)


def find_movielens(folder: Path, bad_rows: BadRows, *, encoding: str | None = None) -> RawSource:
    """Open whichever shape is there.

    The text of a film is ``Title (year). Genre, Genre``, with articles in front (``The Usual Suspects``). Film files
    are read as UTF-8, else as Latin-1: the releases differ.

    Raises:
        DataError: If no shape, or only half of one, is there, or a column is missing.
    """
    for shape in SHAPES:
        if (folder / shape.events).exists():
            return _source(folder, shape, bad_rows, encoding)
    names = ", ".join(shape.events for shape in SHAPES)
    raise DataError(f"{folder} is no MovieLens release, expected one of the files {names}")


def _source(folder: Path, shape: _Shape, bad_rows: BadRows, encoding: str | None) -> RawSource:
    events, films = folder / shape.events, folder / shape.films
    if not films.exists():
        raise DataError(f"{folder} has {shape.events} but no {shape.films}, expected both")
    film_layout = _with_encoding(shape.film_layout, films, encoding)
    _check_columns(events, shape.event_layout, tuple(CSV_EVENT_COLUMNS))
    _check_columns(films, film_layout, ("movieId", TITLE, GENRES))
    return RawSource(
        interactions=lambda: (
            rows.renamed(CSV_EVENT_COLUMNS) for rows in read_delimited(events, shape.event_layout, bad_rows)
        ),
        items=lambda: _films(films, film_layout, bad_rows),
        action="rate",
    )


def film_of(title: str) -> tuple[str, str]:
    """Return readable title and year.

    >>> film_of("Usual Suspects, The (1995)")
    ('The Usual Suspects', '1995')
    """
    year = YEAR_AT_END.search(title)
    name = title[: year.start()] if year else title.strip()
    moved = ARTICLE_AT_END.match(name)
    if moved:
        article = moved[2] if moved[2].endswith("'") else f"{moved[2]} "
        name = f"{article}{moved[1]}{moved[3]}"
    return name, year[1] if year else ""


def _films(path: Path, layout: Layout, bad_rows: BadRows) -> RowBatches:
    for rows in read_delimited(path, layout, bad_rows):
        given = {name: array.to_pylist() for name, array in rows.renamed({"movieId": columns.ITEM_ID}).columns.items()}
        named = [film_of(title) for title in given[TITLE]]
        if GENRES in given:
            genres = [", ".join(text.split("|")) if text != "(no genres listed)" else "" for text in given[GENRES]]
        else:
            flags = zip(*(given[f"flag{n}"] for n in range(19)), strict=True)
            genres = [_flagged(row) for row in flags]
        arrays = {
            columns.ITEM_ID: given[columns.ITEM_ID],
            columns.TEXT: [_text(name, year, kinds) for (name, year), kinds in zip(named, genres, strict=True)],
            TITLE: [name for name, _ in named],
            YEAR: [year for _, year in named],
            GENRES: genres,
        }
        yield RawRows(rows.file, rows.lines, {name: pa.array(values, pa.string()) for name, values in arrays.items()})


def _text(name: str, year: str, genres: str) -> str:
    if not genres:
        return name
    return f"{name} ({year}). {genres}" if year else f"{name}. {genres}"


def _flagged(flags: tuple[str, ...]) -> str:
    return ", ".join(genre for flag, genre in zip(flags, GENRES_100K, strict=True) if flag == "1" and genre)


def _with_encoding(layout: Layout, path: Path, encoding: str | None) -> Layout:
    if encoding is None and layout.encoding == "utf-8":
        try:
            path.read_text("utf-8")
        except UnicodeDecodeError:
            encoding = "latin-1"
    return Layout(layout.delimiter, layout.quoted, encoding or layout.encoding, layout.names)


def _check_columns(path: Path, layout: Layout, required: tuple[str, ...]) -> None:
    if layout.names is not None:
        return
    existing = header_of(path, layout)
    for name in required:
        if name not in existing:
            raise DataError(f"{path.name} has no column {name!r}; its columns are {', '.join(existing)}")
