"""Raw item rows -> the table of ``items.parquet``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from app.contract.item_text import plain_text
from model_export.data import columns
from model_export.data.id_texts import id_texts
from model_export.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from model_export.data.bad_rows import BadRows
    from model_export.data.readers.raw_rows import RawRows

SEPARATOR: Final = ". "
SENTENCE_ENDS: Final = (".", "!", "?")
ROWS_A_CHUNK: Final = 100_000
LEADING_ZERO: Final = r"^\s*[+-]?0[0-9]"


def build_item_table(
    batches: Iterable[RawRows],
    text_columns: Sequence[str] | None,
    bad_rows: BadRows,
    note: Callable[[str], None],
) -> pa.Table:
    """Return ``item_id``, ``text`` and every other flat column, items in file order.

    Rows without an id and later rows of an id that was seen are bad. An item whose text is empty gets its id as text.

    Args:
        batches: The item rows.
        text_columns: What the text is made of, joined in this order; None for the column ``text`` if there is one,
            else all string columns.
        bad_rows: Where bad rows are counted.
        note: Takes sentences that people should read.

    Raises:
        DataError: If a text column does not exist, or no item is left.
    """
    tables = [table for table in _good_rows(batches, bad_rows) if table.num_rows]
    if not tables:
        raise bad_rows.nothing_left("item")
    table = pa.concat_tables(tables, promote_options="permissive")
    table = _typed(table)
    chosen = _text_columns(table, text_columns)
    note(f"item texts are made of: {', '.join(chosen) or 'nothing but the id'}")
    text = joined_text(table, chosen)
    empty = pc.equal(text, "")
    if without := pc.sum(empty).as_py():
        note(f"{without:,} of {table.num_rows:,} items have no text; their id stands in for it")
    text = pc.if_else(empty, table.column(columns.ITEM_ID), text)
    rest = [name for name in table.column_names if name not in (columns.ITEM_ID, columns.TEXT)]
    arrays = [table.column(columns.ITEM_ID), text, *(table.column(name) for name in rest)]
    return pa.table(dict(zip([columns.ITEM_ID, columns.TEXT, *rest], arrays, strict=True)))


def items_named_by_id(item_ids: Sequence[str]) -> pa.Table:
    """Return the item table of a source without item texts."""
    ids = pa.array(item_ids, pa.string())
    return pa.table({columns.ITEM_ID: ids, columns.TEXT: ids})


def joined_text(table: pa.Table, names: Sequence[str]) -> pa.ChunkedArray:
    """Return ``string[n]``: the columns' values with white space made single, joined by ". ", empty ones left out."""
    if not names:
        return pa.chunked_array([pa.array([""] * table.num_rows, pa.string())])
    chunks = []
    for batch in table.select(list(names)).to_batches(max_chunksize=ROWS_A_CHUNK):
        given = [column.cast(pa.string()).to_pylist() for column in batch.columns]
        chunks.append(pa.array([_joined(values) for values in zip(*given, strict=True)], pa.string()))
    return pa.chunked_array(chunks, pa.string())


def _joined(values: tuple[str | None, ...]) -> str:
    """Join what there is; a part that ends a sentence itself needs no full stop.

    >>> _joined(("Lamp", None, "Is it  red?", "Yes"))
    'Lamp. Is it red? Yes'
    """
    text = ""
    for value in values:
        part = plain_text(value or "")
        if text and part:
            text += " " if text.endswith(SENTENCE_ENDS) else SEPARATOR
        text += part
    return text


def _good_rows(batches: Iterable[RawRows], bad_rows: BadRows) -> list[pa.Table]:
    seen: dict[str, int] = {}
    tables = []
    for rows in batches:
        if columns.ITEM_ID not in rows.columns:
            raise DataError(f"{rows.file} has no column {columns.ITEM_ID!r}; its columns are {', '.join(rows.columns)}")
        ids = id_texts(rows.columns[columns.ITEM_ID]).to_pylist()
        good = np.ones(len(rows), bool)
        for position, (item_id, line) in enumerate(zip(ids, rows.lines.tolist(), strict=True)):
            if not item_id:
                good[position] = False
                bad_rows.add(rows.file, line, "empty item_id", "the item_id is empty")
            elif (first := seen.setdefault(item_id, line)) != line:
                good[position] = False
                detail = f"the item {item_id!r} stands already on line {first}, expected every item once"
                bad_rows.add(rows.file, line, "duplicate item_id", detail)
        kept = {name: array for name, array in rows.columns.items() if not pa.types.is_null(array.type)}
        kept[columns.ITEM_ID] = pa.array(ids, pa.string())
        tables.append(pa.table(kept).filter(pa.array(good)))
    return tables


def _typed(table: pa.Table) -> pa.Table:
    """Make numbers of the string columns whose every value is a number, with null for empty ones.

    Digits after a leading zero are a code (``007``) and stay text.
    """
    for name in table.column_names:
        column = table.column(name)
        if name in (columns.ITEM_ID, columns.TEXT) or not pa.types.is_string(column.type):
            continue
        filled = pc.if_else(pc.equal(column, ""), None, column)
        if filled.null_count == len(filled) or pc.any(pc.match_substring_regex(filled, LEADING_ZERO)).as_py():
            continue
        for number_type in (pa.int64(), pa.float64()):
            try:
                numbers: Any = filled.cast(number_type)
            except pa.ArrowInvalid:
                continue
            table = table.set_column(table.column_names.index(name), name, numbers)
            break
    return table


def _text_columns(table: pa.Table, wanted: Sequence[str] | None) -> list[str]:
    if wanted is not None:
        for name in wanted:
            if name not in table.column_names:
                raise DataError(f"the items have no column {name!r}; their columns are {', '.join(table.column_names)}")
        return list(wanted)
    if columns.TEXT in table.column_names:
        return [columns.TEXT]
    return [
        field.name
        for field in table.schema
        if field.name != columns.ITEM_ID
        and (pa.types.is_string(field.type) or pa.types.is_large_string(field.type))
        and pc.any(pc.not_equal(table.column(field.name), "")).as_py()
    ]
