"""What a measurement was taken on, for the head of every result."""

from __future__ import annotations

import datetime as dt
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

STOLEN_NOTE = "*Stolen* is the processor time that this virtual machine wanted and its host gave to others."


class StolenTime:
    """Counts what `STOLEN_NOTE` says: ``steal`` of ``/proc/stat``, as a share of all cores' time."""

    def __init__(self) -> None:
        """Begin to count."""
        self._stolen, self._all = _ticks()

    def percent(self) -> float:
        """Return the share since the beginning or the last call."""
        stolen, whole = _ticks()
        share = 100.0 * (stolen - self._stolen) / max(whole - self._all, 1)
        self._stolen, self._all = stolen, whole
        return share


def _ticks() -> tuple[int, int]:
    """Return stolen ticks and all ticks; those of guests are part of user and nice."""
    user, nice, system, idle, waiting, interrupts, soft_interrupts, stolen = map(
        int, Path("/proc/stat").read_text().split(maxsplit=9)[1:9]
    )
    return stolen, user + nice + system + idle + waiting + interrupts + soft_interrupts + stolen


def cpu_name() -> str:
    """Return the processor's name as the kernel gives it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def machine_lines(*packages: str) -> str:
    """Return Markdown lines: date, processor, cores, versions of the packages that took part."""
    found = []
    for name in ("numpy", "onnxruntime", *packages):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    return (
        f"{today} · {cpu_name()}, {os.cpu_count()} cores, shared machine · Python {platform.python_version()} · "
        + ", ".join(found)
    )
