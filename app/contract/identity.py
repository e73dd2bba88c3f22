"""The 64-bit keys that stand for item ids, event ids and actions in stored histories.

A key is the first eight bytes of BLAKE2b of the UTF-8 text: the same in every process, on every machine, in training
and in serving, and independent of the bundle, so that a stored history outlives a retrained catalogue.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from app.contract.tensors import UInt64Array


def key_of(text: str) -> int:
    """Return the unsigned 64-bit key of an id."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def keys_of(texts: Iterable[str]) -> UInt64Array:
    """Return ``uint64[n]``, the key of each id, in order."""
    digests = b"".join(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest() for text in texts)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64, copy=False)
