"""Rows as a reader hands them on: named columns with the line that each row stands on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import pyarrow as pa

    from app.contract.tensors import Int64Array


@dataclass(frozen=True, slots=True)
class RawRows:
    """A batch of n rows.

    Attributes:
        file: Name of the file, for messages.
        lines: ``int64[n]`` line numbers, 1 for the first line of the file.
        columns: Column name -> ``[n]`` values; an empty string or null is a missing value.
    """

    file: str
    lines: Int64Array
    columns: dict[str, pa.Array]

    def __len__(self) -> int:
        """Return n."""
        return len(self.lines)

    def renamed(self, names: dict[str, str]) -> RawRows:
        """Return the same rows with columns renamed; columns that ``names`` lacks keep their name.

        A column that has the new name of another one already is left out.
        """
        taken = {names[name] for name in self.columns if name in names}
        kept = {name: array for name, array in self.columns.items() if name in names or name not in taken}
        return RawRows(self.file, self.lines, {names.get(name, name): array for name, array in kept.items()})


RowBatches: TypeAlias = Iterator[RawRows]


@dataclass(frozen=True, slots=True)
class RawSource:
    """What a format's reader found in the input folder.

    Attributes:
        interactions: Opens the interactions: batches with the columns of `model_export.data.columns`; ``action`` and
            ``rating`` may be absent.
        items: Opens the items: batches with ``item_id`` and any further columns; None where the input has no items.
        action: The action of rows that name none.
        text_columns: Which item columns make the text; None for ``text``, else all string columns.
        impressions: Opens the impressions, where there are some: batches with the columns of ``impressions.parquet``.
    """

    interactions: Callable[[], RowBatches]
    items: Callable[[], RowBatches] | None
    action: str = "view"
    text_columns: tuple[str, ...] | None = None
    impressions: Callable[[], RowBatches] | None = None
