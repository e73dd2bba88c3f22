"""Streams rows out of delimited text (CSV, tab-separated and the like) by pyarrow."""

from __future__ import annotations

import codecs
import csv
import io
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from model_export.data.readers.input_bytes import open_bytes
from model_export.data.readers.raw_rows import RawRows, RowBatches
from model_export.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from app.contract.tensors import Int64Array
    from model_export.data.bad_rows import BadRows

BLOCK_BYTES: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class Layout:
    """How a delimited file is written.

    Attributes:
        delimiter: Between fields; one character, or ``::``.
        quoted: Whether double quotes enclose fields (which may then hold delimiters and line breaks).
        encoding: Python name of the text encoding.
        names: Column names of a file without a header line; None where the first line has them.
    """

    delimiter: str = ","
    quoted: bool = True
    encoding: str = "utf-8"
    names: tuple[str, ...] | None = None


def header_of(path: Path, layout: Layout) -> list[str]:
    """Return the column names.

    Raises:
        DataError: If the file is empty, names a column twice, or is not text of this encoding.
    """
    if layout.names is not None:
        names = list(layout.names)
    else:
        first_line = _first_line(path, layout)
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if layout.quoted else csv.QUOTE_NONE
        fields = next(csv.reader([first_line], delimiter=layout.delimiter, quoting=quoting))
        names = [name.strip() for name in fields]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise DataError(f"{path.name} has the column {doubled[0]!r} twice, expected unique column names")
    return names


def read_delimited(path: Path, layout: Layout, bad_rows: BadRows) -> RowBatches:
    """Yield all rows as strings, in file order; rows with another number of fields are counted as bad.

    Raises:
        DataError: If the file is empty, has no rows, or is not text of this encoding.
    """
    names = header_of(path, layout)
    skipped = _SkippedRecords(path.name, bad_rows)
    position = _RecordPosition(next_record=1 if layout.names is not None else 2)
    found_any = False
    try:
        with open_bytes(path) as stream:
            for batch in _open_reader(stream, names, layout, skipped):
                lines = position.lines_of(batch, skipped, layout)
                rows = _without_blank_lines(path.name, names, lines, batch)
                found_any = found_any or len(rows) > 0
                if len(rows):
                    yield rows
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise _unreadable(path, layout, error) from error
    if not found_any and not skipped.newlines_of_record:
        raise DataError(f"{path.name} has no rows, expected at least one")


def _open_reader(stream: Any, names: list[str], layout: Layout, skipped: _SkippedRecords) -> Any:
    source = stream
    delimiter = layout.delimiter
    if len(delimiter) > 1:
        source, delimiter = pa.PythonFile(_OneCharacterDelimiter(stream, layout.delimiter.encode()), "r"), "\t"
    return arrow_csv.open_csv(
        source,
        read_options=arrow_csv.ReadOptions(
            column_names=names,
            skip_rows=0 if layout.names is not None else 1,
            block_size=BLOCK_BYTES,
            use_threads=False,  # with threads the handler of bad rows is told no row numbers
            encoding=layout.encoding,
        ),
        parse_options=arrow_csv.ParseOptions(
            delimiter=delimiter,
            quote_char='"' if layout.quoted else False,
            newlines_in_values=layout.quoted,
            ignore_empty_lines=False,
            invalid_row_handler=skipped,
        ),
        convert_options=arrow_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
    )


class _SkippedRecords:
    """pyarrow's handler of records with a wrong number of fields: remembers which they were."""

    def __init__(self, file: str, bad_rows: BadRows) -> None:
        self.file = file
        self.bad_rows = bad_rows
        self.newlines_of_record: dict[int, int] = {}

    def __call__(self, row: Any) -> str:
        if row.text.strip():
            detail = f"{row.actual_columns} fields, expected {row.expected_columns}: {row.text[:80]!r}"
            self.bad_rows.add(self.file, row.number, "wrong number of fields", detail)
        self.newlines_of_record[row.number] = row.text.count("\n")
        return "skip"


class _RecordPosition:
    """Follows the line number through records that were skipped or span several lines."""

    def __init__(self, *, next_record: int) -> None:
        self.next_record = next_record
        self.extra_lines = 0

    def lines_of(self, batch: pa.RecordBatch, skipped: _SkippedRecords, layout: Layout) -> Int64Array:
        """Return ``int64[n]``, the line on which each record of the batch begins."""
        gone = sorted(number for number in skipped.newlines_of_record if number >= self.next_record)
        records = np.arange(self.next_record, self.next_record + batch.num_rows + len(gone), dtype=np.int64)
        kept: Int64Array = records[~np.isin(records, gone)][: batch.num_rows]
        self.next_record = int(kept[-1]) + 1 if len(kept) else self.next_record
        if not layout.quoted:
            return kept
        newlines = np.zeros(batch.num_rows, np.int64)
        for column in batch.columns:
            newlines += pc.count_substring(column, "\n").to_numpy(zero_copy_only=False)
        before = np.cumsum(newlines) - newlines + self.extra_lines
        self.extra_lines += int(newlines.sum())
        lines: Int64Array = kept + before
        return lines


def _without_blank_lines(file: str, names: list[str], lines: Int64Array, batch: pa.RecordBatch) -> RawRows:
    blank = np.ones(batch.num_rows, bool)
    for column in batch.columns:
        if not blank.any():
            break
        blank &= pc.equal(column, "").to_numpy(zero_copy_only=False)
    if blank.any():
        batch = batch.filter(pa.array(~blank))
    return RawRows(file, lines[~blank], dict(zip(names, batch.columns, strict=True)))


def _first_line(path: Path, layout: Layout) -> str:
    with open_bytes(path) as stream:
        beginning: bytes = stream.read(1 << 16)
    if not beginning.strip():
        raise DataError(f"{path.name} is empty, expected a header line and rows")
    first = beginning.splitlines()[0]
    try:
        return first.decode("utf-8-sig" if codecs.lookup(layout.encoding).name == "utf-8" else layout.encoding)
    except UnicodeDecodeError as error:
        raise _unreadable(path, layout, error) from error


def _unreadable(path: Path, layout: Layout, error: Exception) -> DataError:
    """Turn pyarrow's words into a sentence, naming the line that is not text of this encoding if there is one."""
    if "empty" in str(error).lower() and path.stat().st_size == 0:
        return DataError(f"{path.name} is empty, expected rows")
    with open_bytes(path) as stream:
        for number, line in enumerate(io.BufferedReader(stream), start=1):
            try:
                line.decode(layout.encoding)
            except UnicodeDecodeError as cause:
                byte = line[cause.start]
                return DataError(
                    f"{path.name} line {number} is not {layout.encoding} text (byte 0x{byte:02x} at column "
                    f"{cause.start + 1}); name the encoding of the file with --encoding, for example latin-1"
                )
    return DataError(f"{path.name} cannot be read as delimited text: {' '.join(str(error).split())}")


class _OneCharacterDelimiter(io.RawIOBase):
    """Replaces a delimiter of several characters by a tab while a file streams through."""

    def __init__(self, stream: IO[bytes], delimiter: bytes) -> None:
        self._stream = stream
        self._delimiter = delimiter
        self._held = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Return the next whole lines, about ``size`` bytes of them; nothing at the end."""
        block = self._held + self._stream.read(max((size if size > 0 else BLOCK_BYTES) - len(self._held), 1))
        cut = block.rfind(b"\n") + 1 or len(block)
        self._held = block[cut:]
        return block[:cut].replace(self._delimiter, b"\t")
