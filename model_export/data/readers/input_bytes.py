"""Opens input files, decompressing what is compressed; what cannot be read is named."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from model_export.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def open_bytes(path: Path) -> Iterator[Any]:
    """Give a readable binary file, of ``.gz`` (and whatever else pyarrow knows by its suffix) the decompressed ones.

    Raises:
        DataError: If the content is not what the suffix says, or ends too early.
    """
    try:
        with pa.input_stream(str(path), compression="detect") as stream:
            yield stream
    except OSError as error:
        if error.errno is not None:  # the system's own words, which name the file
            raise
        why = " ".join(str(error).split())
        raise DataError(f"{path.name} cannot be decompressed, expected a whole {path.suffix} file: {why}") from error
