"""One behaviour event and one user's stored history, as the parts of the service hand them on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from app.contract.tensors import Int64Array, UInt64Array


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a user did with an item.

    Attributes:
        event_id: Unique id; the same id twice counts once.
        user: User id.
        item: Item id.
        action: One of the bundle's actions.
        timestamp_ms: Epoch milliseconds.
    """

    event_id: str
    user: str
    item: str
    action: str
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class StoredHistory:
    """A user's recent events as they lie in storage, decoded but not yet matched with a catalogue; oldest first.

    Attributes:
        item_keys_E: ``uint64[E]``, `app.contract.identity.key_of` of the item ids.
        action_keys_E: ``uint64[E]``, the same of the action names.
        timestamps_ms_E: ``int64[E]`` epoch milliseconds, ascending, no event twice.
        catalog_version: The stored version of the items added online; a replica that knows a lower one must refresh.
    """

    item_keys_E: UInt64Array
    action_keys_E: UInt64Array
    timestamps_ms_E: Int64Array
    catalog_version: int = 0

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.timestamps_ms_E)


NO_HISTORY: Final = StoredHistory(
    item_keys_E=np.empty(0, np.uint64), action_keys_E=np.empty(0, np.uint64), timestamps_ms_E=np.empty(0, np.int64)
)
