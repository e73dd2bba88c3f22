"""The output folder of `prepare` and `simulate`: whole or not there."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from model_export.data import columns
from model_export.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

REPORT_FILE: Final = "prepared.json"
OUR_FILES: Final = frozenset(
    {columns.INTERACTIONS_FILE, columns.ITEMS_FILE, columns.IMPRESSIONS_FILE, columns.TRUTH_FILE, REPORT_FILE}
)


@contextmanager
def new_prepared_folder(output: Path) -> Iterator[Path]:
    """Give a temporary folder beside ``output`` that takes its place when the block ends well, else disappears.

    Raises:
        DataError: If ``output`` is a file, or holds files that are not ours.
    """
    if output.exists() and not output.is_dir():
        raise DataError(f"{output} is a file, expected a folder or nothing")
    strange = sorted(path.name for path in output.iterdir() if path.name not in OUR_FILES) if output.exists() else []
    if strange:
        raise DataError(f"{output} holds {strange[0]!r}, which is not prepared data; name an empty or new folder")
    output.absolute().parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{output.name}.", suffix=".partial", dir=output.absolute().parent))
    try:
        yield temporary
        _replace(temporary, output)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


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
