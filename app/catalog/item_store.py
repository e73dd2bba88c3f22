"""What the catalogue needs of the store that every replica shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.contract.online_items import StoredItem


class OnlineItemStore(Protocol):
    """Where changes of items are kept for every replica."""

    async def store(self, items: Sequence[StoredItem]) -> int:
        """Store changes, all or none; return the version of the last one."""

    async def version(self) -> int:
        """Return the latest version."""

    async def epoch(self) -> str:
        """Return the name of what the versions count: another one when the store has come back empty."""

    async def changes_since(self, version: int) -> tuple[list[StoredItem], int]:
        """Return the latest change of every item that changed after ``version``, and the version reached with them."""
