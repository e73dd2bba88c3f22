"""The item table in memory: the bundle's rows by memory map, spare rows behind them for items added later."""

from __future__ import annotations

import ctypes
import ctypes.util
import mmap
import os
import time
from collections import deque
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from app.errors import BundleError, Overloaded

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from app.contract.tensors import Float32Array, Int64Array

FloatTable: TypeAlias = "NDArray[np.float32] | NDArray[np.float16]"

VIEW_STEP: Final = 256
"""The published view grows by so many rows at once, so that most new items need no other view."""

QUARANTINE_S: Final = 60.0
"""A freed row keeps its vector this long, far longer than a request lives, before another item may have it."""

_MAP_FIXED: Final = 0x10


class VectorTable:
    """``[rows, D]`` vectors, contiguous, in C order, ready to be bound to the graph without a copy.

    One address range is reserved for the bundle's rows and ``spare_rows`` more. The file is mapped into its beginning,
    privately: every process that serves the bundle shares the pages that nobody writes. The rest is anonymous memory
    that costs nothing until it is written. A row in use is never written: a changed item gets another row.

    Args:
        path: ``item_table.npy``, ``[N + 1, D]`` float16 or float32 in C order.
        spare_rows: How many rows may be added.
        clock: Monotonic seconds.

    Raises:
        BundleError: If the file cannot be mapped or holds something else.
    """

    def __init__(self, path: Path, *, spare_rows: int = 65_536, clock: Callable[[], float] = time.monotonic) -> None:
        shape, dtype, offset = _read_header(path)
        self.base_rows = shape[0]
        self._clock = clock
        self._all = _map_with_room(path, rows=self.base_rows + spare_rows, width=shape[1], dtype=dtype, offset=offset)
        self._used = self.base_rows
        self._visible = self.base_rows
        self._freed: deque[tuple[float, int]] = deque()

    @property
    def width(self) -> int:
        """D."""
        return int(self._all.shape[1])

    @property
    def capacity(self) -> int:
        """Rows that there are addresses for, the padding row included."""
        return len(self._all)

    @property
    def view(self) -> FloatTable:
        """Every row up to the last in use, and at most `VIEW_STEP` unused ones."""
        return self._all[: self._visible]

    def add(self, vectors_ND: Float32Array) -> Int64Array:
        """Write vectors into rows that nobody uses and return the rows, ``int64[N]``.

        Raises:
            Overloaded: If there are not enough spare rows. Nothing was written.
        """
        rows = self._take(len(vectors_ND))
        self._all[rows] = vectors_ND
        while self._visible < self._used:
            self._visible = min(self._visible + VIEW_STEP, len(self._all))
        return rows

    def release(self, rows: list[int]) -> None:
        """Give back rows that no id leads to any more; the bundle's own rows are left as they are."""
        now_s = self._clock()
        self._freed.extend((now_s, row) for row in rows if row >= self.base_rows)

    def vectors_of_rows(self, rows: Int64Array) -> Float32Array:
        """Return ``float32[n, D]``."""
        return self._all[rows].astype(np.float32, copy=False)

    def room(self) -> int:
        """Return how many rows may be added now."""
        reusable_before_s = self._clock() - QUARANTINE_S
        reusable = sum(1 for _ in takewhile(lambda freed: freed[0] <= reusable_before_s, self._freed))
        return len(self._all) - self._used + reusable

    def require_room(self, count: int) -> None:
        """Do nothing if ``count`` rows may be added.

        Raises:
            Overloaded: If there are not enough spare rows.
        """
        room = self.room()
        if room < count:
            raise Overloaded(
                f"the item table has {room} spare rows left, expected {count}: "
                "publish a bundle with the new items, or start with more spare rows",
                retry_after_s=QUARANTINE_S,
            )

    def _take(self, count: int) -> Int64Array:
        self.require_room(count)
        reusable_before_s = self._clock() - QUARANTINE_S
        rows: list[int] = []
        while len(rows) < count and self._freed and self._freed[0][0] <= reusable_before_s:
            rows.append(self._freed.popleft()[1])
        fresh = count - len(rows)
        rows += range(self._used, self._used + fresh)
        self._used += fresh
        return np.asarray(rows, np.int64)


def _read_header(path: Path) -> tuple[tuple[int, int], np.dtype[Any], int]:
    """Return shape, dtype and where the data begins."""
    try:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BundleError(f"{path.name} cannot be mapped: {error}") from error
    if not isinstance(mapped, np.memmap) or mapped.ndim != 2 or mapped.dtype not in (np.float32, np.float16):  # noqa: PLR2004 -- rows, D
        raise BundleError(f"{path.name} is {mapped.dtype}{list(mapped.shape)}, expected float32 or float16 [rows, D]")
    if not mapped.flags.c_contiguous or not len(mapped):
        raise BundleError(f"{path.name} has {len(mapped)} rows or is not in C order, expected a padding row first")
    return (mapped.shape[0], mapped.shape[1]), mapped.dtype, int(mapped.offset)


def _map_with_room(path: Path, *, rows: int, width: int, dtype: np.dtype[Any], offset: int) -> NDArray[Any]:
    """Reserve addresses for ``rows`` rows and map the file over their beginning.

    Python's `mmap` cannot place a mapping, hence the one call of the C library.
    """
    reserved = mmap.mmap(
        -1,
        offset + rows * width * dtype.itemsize,
        flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0),
    )
    address = ctypes.addressof(ctypes.c_char.from_buffer(reserved))
    c_library = ctypes.CDLL(None, use_errno=True)
    c_library.mmap.restype = ctypes.c_void_p
    c_library.mmap.argtypes = (
        ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long,
    )  # fmt: skip
    with path.open("rb") as file:
        mapped = c_library.mmap(
            address, os.fstat(file.fileno()).st_size, mmap.PROT_READ | mmap.PROT_WRITE,
            mmap.MAP_PRIVATE | _MAP_FIXED, file.fileno(), 0,
        )  # fmt: skip
    if mapped != address:
        raise BundleError(f"{path.name} cannot be mapped: {os.strerror(ctypes.get_errno())}")
    return np.ndarray((rows, width), dtype, buffer=reserved, offset=offset)
