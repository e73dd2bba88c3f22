"""RecBole's atomic files: tab-separated, each column's header is ``name:type``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from model_export.data import columns
from model_export.data.readers.delimited import Layout, header_of, read_delimited
from model_export.data.readers.raw_rows import RawSource, RowBatches
from model_export.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from model_export.data.bad_rows import BadRows

TYPES: Final = ("token", "token_seq", "float", "float_seq")
TEXT_TYPES: Final = ("token", "token_seq")


def find_recbole(folder: Path, bad_rows: BadRows, *, encoding: str = "utf-8") -> RawSource:
    """Open ``*.inter`` and, where there is one, ``*.item``.

    The text of an item is made of all its token columns, in file order.

    Raises:
        DataError: If there is not exactly one ``*.inter``, or a header is not typed, or a required column is missing.
    """
    layout = Layout(delimiter="\t", quoted=False, encoding=encoding)
    interactions = _only_one(folder, "*.inter")
    if interactions is None:
        raise DataError(f"{folder} has no *.inter file, expected one (RecBole's atomic files)")
    types = _column_types(interactions, layout, (columns.USER_ID, columns.ITEM_ID, columns.TIMESTAMP))
    items = _only_one(folder, "*.item")
    if items is None:
        return RawSource(interactions=lambda: _plain(interactions, layout, types, bad_rows), items=None)
    item_types = _column_types(items, layout, (columns.ITEM_ID,))
    text_columns = tuple(name for name, kind in item_types.items() if kind in TEXT_TYPES and name != columns.ITEM_ID)
    return RawSource(
        interactions=lambda: _plain(interactions, layout, types, bad_rows),
        items=lambda: _plain(items, layout, item_types, bad_rows),
        text_columns=text_columns,
    )


def _plain(path: Path, layout: Layout, types: dict[str, str], bad_rows: BadRows) -> RowBatches:
    names = {f"{name}:{kind}": name for name, kind in types.items()}
    for rows in read_delimited(path, layout, bad_rows):
        yield rows.renamed(names)


def _only_one(folder: Path, pattern: str) -> Path | None:
    found = sorted(folder.glob(pattern))
    if len(found) > 1:
        raise DataError(f"{folder} has {len(found)} files {pattern} ({found[0].name}, {found[1].name}), expected one")
    return found[0] if found else None


def _column_types(path: Path, layout: Layout, required: tuple[str, ...]) -> dict[str, str]:
    types: dict[str, str] = {}
    for field in header_of(path, layout):
        name, _, kind = field.partition(":")
        if kind not in TYPES:
            raise DataError(
                f"{path.name}: the column {field!r} has no type, expected name:type with a type of {', '.join(TYPES)}"
            )
        types[name] = kind
    for name in required:
        if name not in types:
            raise DataError(f"{path.name} has no column {name!r}; its columns are {', '.join(types)}")
    return types
