"""The candidates of one request: which rows they are, where they stood, and which nobody knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from app.contract.identity import keys_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
    """Answers `app.selection.list_rules.CandidateFacts` from the catalogue.

    Attributes:
        catalog: Items.
        rows_C: ``int64[C]`` rows of the candidates.
        ids: Returns the candidates' ids.
    """

    catalog: ItemCatalog
    rows_C: Int64Array
    ids: Callable[[], Sequence[str]]

    def keys(self) -> UInt64Array:
        """Return ``uint64[C]``: keys of ids, because rows of online items and of texts differ between replicas."""
        return keys_of(self.ids())

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


def with_rows(candidates: Candidates, positions: Sequence[int], rows: Int64Array) -> Candidates:
    """Return a request's candidates with rows for some of the unknown ones; input order stays.

    >>> with_rows(Candidates(np.array([7]), np.array([1]), (0, 2)), [2], np.array([9]))
    Candidates(rows_C=array([7, 9]), positions_C=array([1, 2]), unknown=[0])
    """
    known_C = np.empty(0, np.int64) if candidates.positions_C is None else candidates.positions_C
    positions_C = np.concatenate([known_C, np.asarray(positions, np.int64)])
    order_C = positions_C.argsort()
    filled = set(positions)
    unknown = [position for position in candidates.unknown if position not in filled]
    return Candidates(np.concatenate([candidates.rows_C, rows])[order_C], positions_C[order_C], unknown)


def without_rows(candidates: Candidates, seen_rows: Int64Array) -> Candidates:
    """Return the candidates without those rows; unknown ones stay."""
    keep_C = ~np.isin(candidates.rows_C, seen_rows)
    positions_C = candidates.positions_C
    return Candidates(
        candidates.rows_C[keep_C], None if positions_C is None else positions_C[keep_C], candidates.unknown
    )
