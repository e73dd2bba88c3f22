"""The news data set MIND: ``behaviors.tsv`` and ``news.tsv``, in one folder or in several (train, dev).

Clicks of a user's history have no time in the data. They get one second each before the user's first impression, oldest
first: their order is true, their times are made up. Clicks in impressions have the impression's time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from model_export.data import columns
from model_export.data.bad_rows import BadRows
from model_export.data.impressions import (
    CANDIDATES,
    CLICKED,
    HISTORY,
    IMPRESSION_ID,
    IMPRESSIONS_SCHEMA,
    PART,
)
from model_export.data.readers.delimited import Layout, read_delimited
from model_export.data.readers.raw_rows import RawRows, RawSource, RowBatches
from model_export.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

BEHAVIOUR_LAYOUT: Final = Layout(
    delimiter="\t", quoted=False, names=(IMPRESSION_ID, columns.USER_ID, columns.TIMESTAMP, HISTORY, "impressions")
)
NEWS_LAYOUT: Final = Layout(
    delimiter="\t",
    quoted=False,
    names=(
        columns.ITEM_ID,
        "category",
        "subcategory",
        "title",
        "abstract",
        "url",
        "title_entities",
        "abstract_entities",
    ),
)
NEWS_COLUMNS: Final = ("category", "subcategory", "title", "abstract", "url")
MS_A_HISTORY_STEP: Final = 1000


@dataclass(frozen=True, slots=True)
class _Behaviour:
    """One line of ``behaviors.tsv``.

    Attributes:
        time_ms: None where the time cannot be read.
        clicked: None for each candidate without a label.
    """

    line: int
    impression_id: str
    user: str
    time: str
    time_ms: int | None
    history: list[str]
    candidates: list[str]
    clicked: list[bool | None]


def find_mind(folder: Path, bad_rows: BadRows) -> RawSource:
    """Open all ``behaviors.tsv`` and ``news.tsv`` under the folder.

    Raises:
        DataError: If there is none, or a folder has one without the other.
    """
    parts = sorted(path.parent for path in folder.rglob("behaviors.tsv"))
    if not parts:
        raise DataError(f"{folder} has no behaviors.tsv, expected it there or in a folder below (MIND)")
    for part in parts:
        if not (part / "news.tsv").exists():
            raise DataError(f"{part} has behaviors.tsv but no news.tsv, expected both")
    return RawSource(
        interactions=lambda: _clicks(parts, bad_rows),
        items=lambda: _news(parts, bad_rows),
        action="click",
        text_columns=("title", "subcategory", "abstract"),
        impressions=lambda: _impressions(folder, parts),
    )


def time_of(text: str) -> int | None:
    """Return epoch milliseconds of ``11/15/2019 9:05:58 AM`` (taken as UTC), None if it is not like that."""
    try:
        return round(datetime.strptime(text, "%m/%d/%Y %I:%M:%S %p").replace(tzinfo=UTC).timestamp() * 1000)
    except ValueError:
        return None


def _news(parts: Sequence[Path], bad_rows: BadRows) -> RowBatches:
    """Yield the news, leaving out in later files what an earlier file has."""
    known: set[str] = set()
    for part in parts:
        in_part: list[str] = []
        for rows in read_delimited(part / "news.tsv", NEWS_LAYOUT, bad_rows):
            ids = rows.columns[columns.ITEM_ID].to_pylist()
            in_part.extend(ids)
            fresh = np.array([item_id not in known for item_id in ids], bool)
            kept = {name: rows.columns[name].filter(pa.array(fresh)) for name in (columns.ITEM_ID, *NEWS_COLUMNS)}
            yield RawRows(rows.file, rows.lines[fresh], kept)
        known.update(in_part)


def _clicks(parts: Sequence[Path], bad_rows: BadRows) -> RowBatches:
    first = _first_behaviours(parts)
    for part in parts:
        for file, behaviours in _behaviours(part, bad_rows):
            lines: list[int] = []
            users: list[str] = []
            items: list[str] = []
            times: list[str] = []
            for behaviour in behaviours:
                events = _events(behaviour, with_history=first.get(behaviour.user) == (part, behaviour.line))
                for item, time in events:
                    lines.append(behaviour.line)
                    users.append(behaviour.user)
                    items.append(item)
                    times.append(time)
            arrays = {columns.USER_ID: users, columns.ITEM_ID: items, columns.TIMESTAMP: times}
            yield RawRows(
                file,
                np.array(lines, np.int64),
                {name: pa.array(values, pa.string()) for name, values in arrays.items()},
            )


def _events(behaviour: _Behaviour, *, with_history: bool) -> Iterator[tuple[str, str]]:
    """Yield item and time of each click; a time that cannot be read is handed on as it is, to be refused."""
    if with_history and behaviour.time_ms is not None:
        for steps, item in zip(range(len(behaviour.history), 0, -1), behaviour.history, strict=True):
            yield item, str(behaviour.time_ms - steps * MS_A_HISTORY_STEP)
    time = behaviour.time if behaviour.time_ms is None else str(behaviour.time_ms)
    for item, clicked in zip(behaviour.candidates, behaviour.clicked, strict=True):
        if clicked:
            yield item, time


def _first_behaviours(parts: Sequence[Path]) -> dict[str, tuple[Path, int]]:
    """Return for each user where the earliest behaviour stands; its history is the one that counts."""
    earliest: dict[str, tuple[int, Path, int]] = {}
    for part in parts:
        for _, behaviours in _behaviours(part, BadRows()):
            for behaviour in behaviours:
                known = earliest.get(behaviour.user)
                if behaviour.time_ms is not None and (known is None or behaviour.time_ms < known[0]):
                    earliest[behaviour.user] = (behaviour.time_ms, part, behaviour.line)
    return {user: (part, line) for user, (_, part, line) in earliest.items()}


def _impressions(folder: Path, parts: Sequence[Path]) -> RowBatches:
    for part in parts:
        name = part.name if part != folder else ""
        for file, behaviours in _behaviours(part, BadRows()):
            good = [behaviour for behaviour in behaviours if behaviour.time_ms is not None]
            values = {
                PART: [name] * len(good),
                IMPRESSION_ID: [behaviour.impression_id for behaviour in good],
                columns.USER_ID: [behaviour.user for behaviour in good],
                columns.TIMESTAMP: [behaviour.time_ms for behaviour in good],
                HISTORY: [behaviour.history for behaviour in good],
                CANDIDATES: [behaviour.candidates for behaviour in good],
                CLICKED: [behaviour.clicked for behaviour in good],
            }
            arrays = {field.name: pa.array(values[field.name], field.type) for field in IMPRESSIONS_SCHEMA}
            yield RawRows(file, np.array([behaviour.line for behaviour in good], np.int64), arrays)


def _behaviours(part: Path, bad_rows: BadRows) -> Iterator[tuple[str, list[_Behaviour]]]:
    for rows in read_delimited(part / "behaviors.tsv", BEHAVIOUR_LAYOUT, bad_rows):
        fields = (rows.columns[name].to_pylist() for name in BEHAVIOUR_LAYOUT.names or ())
        yield rows.file, [_behaviour(row) for row in zip(rows.lines.tolist(), *fields, strict=True)]


def _behaviour(row: tuple[Any, ...]) -> _Behaviour:
    line, impression_id, user, time, history, impressions = row
    candidates: list[str] = []
    clicked: list[bool | None] = []
    for entry in impressions.split():
        item, _, label = entry.rpartition("-")
        candidates.append(item or entry)
        clicked.append(label == "1" if item else None)
    return _Behaviour(line, impression_id, user, time, time_of(time), history.split(), candidates, clicked)
