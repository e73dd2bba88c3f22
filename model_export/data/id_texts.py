"""Ids of any type as the text that people write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from typing import Any

_EXACT: Final = float(2**53)
"""From here on neighbouring whole numbers are one float."""


def id_texts(values: pa.Array) -> pa.Array:
    """Return ``string[n]``; whole numbers that a missing neighbour made floats are whole again.

    >>> id_texts(pa.array([4006381333931.0, None])).to_pylist()
    ['4006381333931', None]
    """
    if pa.types.is_floating(values.type):
        numbers: Any = values.cast(pa.float64())
        numbers = pc.if_else(pc.is_nan(numbers), None, numbers)
        whole = pc.and_(pc.equal(pc.floor(numbers), numbers), pc.less(pc.abs(numbers), _EXACT))
        if pc.all(whole).as_py() is not False:
            values = numbers.cast(pa.int64())
    return values.cast(pa.string())
