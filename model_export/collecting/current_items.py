"""A bundle's items as they are now: with what was added and changed online."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from app.contract.item_text import plain_text
from app.contract.online_items import ITEMS_KEY, StoredItem, unpacked_item
from model_export.collecting.service_redis import asked
from model_export.data import columns

if TYPE_CHECKING:
    from collections.abc import Sequence

_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class CurrentItems:
    """A catalogue and how it came about.

    Attributes:
        table: The bundle's rows and columns, changed texts and columns in place, new items after them by id.
        added: How many items the bundle does not have.
        changed: How many of its items have another text or column now.
        deleted: How many of its items were deleted. They stay: events of theirs are in the log.
        left_out: How many changed values no column of the bundle takes.
    """

    table: pa.Table
    added: int
    changed: int
    deleted: int
    left_out: int


def stored_items(client: Any) -> list[StoredItem]:
    """Return the latest change of every item from the service's Redis, by id; what makes no sense is left out.

    Raises:
        DataError: If Redis does not answer.
    """
    packed = asked(lambda: dict(client.hscan_iter(ITEMS_KEY, count=_AT_ONCE)))
    found = (unpacked_item(item_id.decode("utf-8", "replace"), stored, version=0) for item_id, stored in packed.items())
    return sorted((item for item in found if item is not None), key=lambda item: item.item_id)


def current_items(bundle_items: pa.Table, changes: Sequence[StoredItem]) -> CurrentItems:
    """Apply changes to a bundle's items.

    A changed display column gets the bundle's type, null where the value is none of that type. Such values, and those
    of columns that the bundle does not have, are left out and counted.

    Args:
        bundle_items: ``item_id``, ``text`` and columns to show.
        changes: The latest one of each item.
    """
    rows: list[dict[str, Any]] = bundle_items.to_pylist()
    row_of = {row[columns.ITEM_ID]: row for row in rows}
    known = frozenset(row_of)
    left_out = 0
    for change in (change for change in changes if not change.deleted):
        row = row_of.setdefault(change.item_id, {columns.ITEM_ID: change.item_id})
        if change.item_id not in known:
            rows.append(row)
        row[columns.TEXT] = plain_text(change.text)
        for name in change.columns.keys() - {columns.ITEM_ID, columns.TEXT}:
            value = None
            if name in bundle_items.column_names:
                value = row[name] = _as_type(change.columns[name], bundle_items.schema.field(name).type)
            left_out += value is None
    return CurrentItems(
        table=pa.Table.from_pylist(rows, schema=bundle_items.schema),
        added=len(rows) - len(known),
        changed=sum(change.item_id in known and not change.deleted for change in changes),
        deleted=sum(change.item_id in known and change.deleted for change in changes),
        left_out=left_out,
    )


def _as_type(value: str, wanted: pa.DataType) -> Any:
    try:
        return pa.scalar(value).cast(wanted).as_py()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
