"""The count of input rows that cannot be used, with examples by file and line."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from model_export.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.contract.tensors import BoolArray, Int64Array

MAX_EXAMPLES: Final = 10


@dataclass(frozen=True, slots=True)
class Kind:
    """What is wrong with some rows of a batch.

    Attributes:
        reason: What they have in common.
        detail: Position in the batch -> what is wrong with that row.
    """

    reason: str
    detail: Callable[[int], str]


class BadRows:
    """Counts bad rows by reason and keeps the first few as sentences.

    Attributes:
        counts: Reason -> number of rows.
        examples: The first `MAX_EXAMPLES` sentences, each beginning with file and line.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: list[str] = []

    @property
    def total(self) -> int:
        """The number of bad rows, each counted once."""
        return self.counts.total()

    def add(self, file: str, line: int, reason: str, detail: str) -> None:
        """Count one row.

        Args:
            file: Name of the file.
            line: Line number, 1 for the first line of the file.
            reason: What rows of this kind have in common: ``empty user_id``.
            detail: What is wrong with this one, in words that follow "line N: ".
        """
        self.counts[reason] += 1
        if len(self.examples) < MAX_EXAMPLES:
            self.examples.append(f"{file} line {line}: {detail}")

    def add_many(self, file: str, lines: Int64Array, bad: BoolArray, kind: Kind) -> None:
        """Count the rows of a batch where ``bad`` (``bool[n]``) is true; ``lines`` is ``int64[n]``."""
        positions = bad.nonzero()[0]
        room = MAX_EXAMPLES - len(self.examples)
        for position in positions[: max(room, 0)]:
            self.examples.append(f"{file} line {lines[position]}: {kind.detail(int(position))}")
        if len(positions):
            self.counts[kind.reason] += len(positions)

    def summary(self) -> str:
        """Return the counts by reason, the most frequent first: ``3 empty user_id, 1 unknown item``."""
        return ", ".join(f"{count:,} {reason}" for reason, count in self.counts.most_common())

    def refuse_past(self, max_bad_rows: int) -> None:
        """Raise if there are more bad rows than allowed.

        Raises:
            DataError: If so, with the counts and the examples.
        """
        if self.total <= max_bad_rows:
            return
        raise DataError(
            f"{self.total:,} bad rows ({self.summary()}), expected at most {max_bad_rows:,}; mend them, or leave them "
            f"out with --max-bad-rows {self.total}. The first:{self.shown()}"
        )

    def nothing_left(self, what: str) -> DataError:
        """Return the error for an input in which every ``what`` is bad."""
        return DataError(f"no {what} is left, expected at least one; bad rows: {self.summary()}{self.shown()}")

    def shown(self) -> str:
        """Return the examples, each on its own indented line."""
        return "".join(f"\n  {example}" for example in self.examples)
