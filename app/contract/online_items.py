"""Items that are added, changed or deleted while the service runs, as catalogue, storage and API hand them on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.contract.tensors import Float32Array


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
