"""What a measurement was taken on, for the head of every result."""

from __future__ import annotations

import datetime as dt
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


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
