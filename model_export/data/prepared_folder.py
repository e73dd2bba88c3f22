"""The output folder of `prepare` and `simulate`: whole or not there."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from model_export.data import columns
from model_export.errors import DataError
from model_export.own_folder import refuse_foreign

if TYPE_CHECKING:
    from collections.abc import Iterator

REPORT_FILE: Final = "prepared.json"
TEXT_CACHE_FOLDER: Final = ".text_vectors"
"""Encoded item texts that trainings keep beside the data; it goes with the data."""

OUR_FILES: Final = frozenset(
    {
        columns.INTERACTIONS_FILE,
        columns.ITEMS_FILE,
        columns.IMPRESSIONS_FILE,
        columns.TRUTH_FILE,
        REPORT_FILE,
        TEXT_CACHE_FOLDER,
    }
)
_SIGNATURES: Final = (REPORT_FILE, columns.TRUTH_FILE)
"""Files that nobody but us writes: tables without one of them may be somebody's raw data."""


@contextmanager
def new_prepared_folder(output: Path) -> Iterator[Path]:
    """Give a temporary folder beside ``output`` that takes its place when the block ends well, else disappears.

    Raises:
        DataError: If ``output`` is a file, or holds files that are not ours.
    """
    refuse_foreign(output, OUR_FILES.__contains__, "prepared data")
    if output.exists() and any(output.iterdir()) and not any((output / name).is_file() for name in _SIGNATURES):
        raise DataError(f"{output} has no {REPORT_FILE}: its files are not prepared data; name an empty or new folder")
    output.absolute().parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{output.name}.", suffix=".partial", dir=output.absolute().parent))
    try:
        yield temporary
        _replace(temporary, output)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_report(folder: Path, counts: dict[str, int]) -> None:
    """Write ``prepared.json``: how many interactions, users, items and bad rows there are."""
    (folder / REPORT_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(counts)) + b"\n")


def _replace(temporary: Path, output: Path) -> None:
    temporary.chmod(0o777 & ~_umask())
    if output.exists():
        replaced = temporary.with_suffix(".replaced")
        output.rename(replaced)
        temporary.rename(output)
        shutil.rmtree(replaced)
    else:
        temporary.rename(output)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
