"""Writes into new folders and into those that the same command has written, never over anybody's files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_export.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def refuse_foreign(folder: Path, is_ours: Callable[[str], bool], what: str) -> None:
    """Refuse an output folder that somebody else's files lie in; a missing or empty one is fine.

    Args:
        folder: Where a command is about to write.
        is_ours: Whether a name in it is one that the command writes.
        what: What such files are, in words that follow "which is not".

    Raises:
        DataError: If ``folder`` is a file, or holds a name that is not ours.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise DataError(f"{folder} is a file, expected a folder or nothing")
    strange = sorted(path.name for path in folder.iterdir() if not is_ours(path.name))
    if strange:
        raise DataError(f"{folder} holds {strange[0]!r}, which is not {what}; name an empty or new folder")
