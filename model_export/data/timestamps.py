"""Times as people write them -> epoch milliseconds.

The rule, applied to each value: a number is epoch seconds, milliseconds, microseconds or nanoseconds by its size alone
(from March 1973 to 2100 the four ranges do not overlap); anything else is ISO 8601, in UTC where
it names no zone. What falls outside of 1970 to 2100 is refused.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from app.contract.tensors import Int64Array

LATEST_MS: Final = 4_102_444_800_000
"""2100-01-01T00:00:00Z."""

NONSENSE: Final = -1
"""What `epoch_ms` gives for a value that is no time."""

UNITS_PER_SECOND: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
TIME_UNITS: Final = ("auto", *UNITS_PER_SECOND)

_UPPER_BOUNDS: Final = np.array([1e11, 1e14, 1e17])
"""At these sizes a number stops being seconds, milliseconds, microseconds."""


def epoch_ms(values: pa.Array, *, unit: str = "auto") -> Int64Array:
    """Return ``int64[n]`` epoch milliseconds, `NONSENSE` where a value is no time between 1970 and 2100.

    Args:
        values: ``[n]`` strings, numbers or Arrow timestamps.
        unit: What numbers are; ``auto`` tells by size.
    """
    if pa.types.is_timestamp(values.type) or pa.types.is_date(values.type):
        in_ms = pc.cast(values, pa.timestamp("ms"), safe=False).cast(pa.int64())
        return _in_range(_filled(in_ms, NONSENSE).astype(np.int64))
    if pa.types.is_integer(values.type):
        return _numbers_to_ms(_filled(values.cast(pa.int64(), safe=False), NONSENSE), unit)
    if pa.types.is_floating(values.type):
        return _numbers_to_ms(_filled(values.cast(pa.float64()), np.nan), unit)
    for number_type in (pa.int64(), pa.float64()):
        try:
            return _numbers_to_ms(values.cast(number_type).to_numpy(zero_copy_only=False), unit)
        except pa.ArrowInvalid:
            continue
    return np.fromiter((_one_to_ms(text, unit) for text in values.to_pylist()), np.int64, len(values))


def _filled(values: pa.Array, missing: float) -> NDArray[Any]:
    filled: NDArray[Any] = pc.fill_null(values, missing).to_numpy(zero_copy_only=False)
    return filled


def _numbers_to_ms(numbers: NDArray[Any], unit: str) -> Int64Array:
    """Scale ``int64[n]`` or ``float64[n]``; integers stay exact."""
    size = np.abs(np.nan_to_num(numbers.astype(np.float64), nan=0.0))
    if unit == "auto":
        per_second = np.array([1, 10**3, 10**6, 10**9])[np.searchsorted(_UPPER_BOUNDS, size, side="right")]
    else:
        per_second = np.full(len(numbers), UNITS_PER_SECOND[unit])
    sensible = np.isfinite(numbers) & (numbers >= 0) & (size / per_second * 1000 < LATEST_MS)
    usable = np.where(sensible, numbers, 0)
    milliseconds = np.where(per_second == 1, usable * 1000, usable / (per_second / 1000.0))
    if np.issubdtype(numbers.dtype, np.integer):
        milliseconds = np.where(per_second == 1, usable * 1000, usable // np.maximum(per_second // 1000, 1))
    return np.where(sensible, np.round(milliseconds), NONSENSE).astype(np.int64)


def _one_to_ms(text: str | None, unit: str) -> int:
    if text is None or not text.strip():
        return NONSENSE
    try:
        return int(_numbers_to_ms(np.array([float(text)]), unit)[0])
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return NONSENSE
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    milliseconds = round(moment.timestamp() * 1000)
    return milliseconds if 0 <= milliseconds < LATEST_MS else NONSENSE


def _in_range(milliseconds: Int64Array) -> Int64Array:
    return np.where((milliseconds >= 0) & (milliseconds < LATEST_MS), milliseconds, NONSENSE)
