"""What workers that are gone have counted, in one file of each kind."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import mark_process_dead

if TYPE_CHECKING:
    from pathlib import Path

_KINDS: Final = ("counter", "histogram")
_GONE: Final = "gone"
_LEAST_BYTES: Final = 8
"""A shorter file was never written to."""


def forget_worker(folder: Path, pid: int, *, keep_counts: bool) -> None:
    """Take a worker that has ended out of what a scrape reads.

    A scrape reads a file of each kind of each worker; those of a thousand that are gone would take it a second. So
    their counts are added up in one file, which takes the place of the worker's between two scrapes: a counter that
    went down for a moment would be a restart to whoever reads it.

    Args:
        folder: Where the workers' numbers are.
        pid: The worker.
        keep_counts: Whether it counted anything; a worker that never served has not.
    """
    mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
    for kind in _KINDS:
        own = folder / f"{kind}_{pid}.db"
        if keep_counts and own.exists() and own.stat().st_size >= _LEAST_BYTES:
            everyone = folder / f"{kind}_{_GONE}.db"
            summed = _sum_of([everyone, own] if everyone.exists() else [own], folder / f"{kind}_{_GONE}.new")
            own.unlink()
            summed.replace(everyone)
    for rest in folder.glob(f"*_{pid}.db"):
        rest.unlink(missing_ok=True)


def _sum_of(files: list[Path], target: Path) -> Path:
    """Write a file with the sums of others."""
    target.unlink(missing_ok=True)
    sums: Any
    with closing(MmapedDict(os.fspath(target))) as sums:  # type: ignore[no-untyped-call]
        for file in files:
            for key, value, _, _ in MmapedDict.read_all_values_from_file(os.fspath(file)):  # type: ignore[no-untyped-call]
                sums.write_value(key, sums.read_value(key)[0] + value, 0.0)
    return target
