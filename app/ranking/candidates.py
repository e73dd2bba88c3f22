"""The candidates of one request: which rows they are, where they stood, and which nobody knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.contract.tensors import Float32Array, Int64Array, UInt64Array
    from app.ranking.ports import ItemCatalog


@dataclass(frozen=True, slots=True)
class Candidates:
    """What can be scored, and what cannot.

    Attributes:
        rows_C: ``int64[C]`` rows of those that can be scored, in input order.
        positions_C: ``int64[C]`` their positions in the request, ascending; None if the rows are the whole catalogue.
        unknown: Positions of candidates without a row, ascending.
    """

    rows_C: Int64Array
    positions_C: Int64Array | None
    unknown: Sequence[int] = ()

    def __len__(self) -> int:
        """Return how many candidates the caller may get back."""
        return len(self.rows_C) + len(self.unknown)


@dataclass(frozen=True, slots=True)
class CatalogFacts:
    """Answers `app.selection.list_rules.CandidateFacts` from the catalogue."""

    catalog: ItemCatalog
    rows_C: Int64Array

    def keys(self) -> UInt64Array:
        """Return ``uint64[C]``: the rows."""
        return self.rows_C.astype(np.uint64)

    def vectors(self, positions_M: Int64Array) -> Float32Array:
        """Return ``float32[M, D]``."""
        return self.catalog.vectors_of_rows(self.rows_C[positions_M])

    def labels(self, column: str, positions_M: Int64Array) -> Sequence[str]:
        """Return M values of an item column."""
        return self.catalog.column_of_rows(column, self.rows_C[positions_M])


def split_by_row(rows: Int64Array) -> Candidates:
    """Split a request's rows into those that can be scored and the unknown ones (row 0)."""
    if np.count_nonzero(rows) == len(rows):
        return Candidates(rows, np.arange(len(rows)))
    known = np.flatnonzero(rows)
    return Candidates(rows[known], known, np.flatnonzero(rows == 0).tolist())


def without_rows(candidates: Candidates, seen_rows: Int64Array) -> Candidates:
    """Return the candidates without those rows; unknown ones stay."""
    keep_C = ~np.isin(candidates.rows_C, seen_rows)
    positions_C = candidates.positions_C
    return Candidates(
        candidates.rows_C[keep_C], None if positions_C is None else positions_C[keep_C], candidates.unknown
    )
