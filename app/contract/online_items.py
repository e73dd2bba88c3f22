"""Items that are added, changed or deleted while the service runs: as they are handed on, and as Redis keeps them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from app.contract.event_log import KEY_PREFIX

if TYPE_CHECKING:
    from app.contract.tensors import Float32Array

ITEMS_KEY: Final = f"{KEY_PREFIX}:{{items}}:data"
"""The hash in which Redis keeps the latest change of each item: item id -> `packed_item`."""


@dataclass(frozen=True, slots=True)
class NewItem:
    """What ``PUT /items`` says of an item.

    Attributes:
        item_id: Item id.
        text: What the encoder reads.
        columns: Display columns, for example ``{"title": ..., "category": ...}``.
    """

    item_id: str
    text: str
    columns: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredItem:
    """The latest stored change of one item.

    Attributes:
        item_id: Item id.
        text: What the encoder reads; empty when deleted.
        columns: Display columns.
        encoder: Which item encoder made ``vector_D``; another encoder makes its own from ``text``.
        vector_D: ``float32[D]``, or None when it is deleted.
        deleted: Whether the item is gone, from the bundle too.
        version: The catalogue version that this change made; unique, ascending.
    """

    item_id: str
    text: str
    columns: dict[str, str]
    encoder: str
    vector_D: Float32Array | None
    deleted: bool = False
    version: int = 0


@dataclass(frozen=True, slots=True)
class ItemDescription:
    """An item as people see it.

    Attributes:
        item_id: Item id.
        text: What the encoder read.
        columns: Display columns.
        prior: Popularity prior.
        online: Whether it was added or changed since the bundle was made.
    """

    item_id: str
    text: str
    columns: dict[str, str]
    prior: float
    online: bool


def packed_item(item: StoredItem) -> bytes:
    """Return one change as bytes: the length of the JSON head in 4 bytes, the head, the float32 vector."""
    head = json.dumps([item.text, item.columns, item.encoder, item.deleted]).encode()
    vector = b"" if item.vector_D is None else np.ascontiguousarray(item.vector_D, dtype="<f4").tobytes()
    return len(head).to_bytes(4, "little") + head + vector


def unpacked_item(item_id: str, packed: bytes, *, version: int) -> StoredItem | None:
    """Return a change from its bytes; None if they make no sense."""
    length = int.from_bytes(packed[:4], "little")
    try:
        text, columns, encoder, deleted = json.loads(packed[4 : 4 + length])
        vector = np.frombuffer(packed, dtype="<f4", offset=4 + length) if len(packed) > 4 + length else None
    except (ValueError, TypeError):
        return None
    return StoredItem(
        item_id=item_id,
        text=text,
        columns=columns,
        encoder=encoder,
        vector_D=None if vector is None else vector.astype(np.float32),
        deleted=bool(deleted),
        version=version,
    )
