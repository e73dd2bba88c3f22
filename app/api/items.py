"""``/items``: items that are added, changed, shown and deleted while the service runs."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final

from app.api.answers import ItemAnswer, ItemsAnswer, RemovedAnswer
from app.api.decoding import BodyDecoder
from app.api.reply import Reply, json_reply
from app.api.schemas import ItemChange
from app.contract.online_items import NewItem
from app.errors import InvalidRequest, UnknownItem

if TYPE_CHECKING:
    from app.api.serving import Service

_DECODER: Final[BodyDecoder[ItemChange | list[ItemChange]]] = BodyDecoder(ItemChange | list[ItemChange])


async def put_items(service: Service, body: bytes, started_s: float, *, max_items: int) -> Reply:
    """Encode, store and publish items, all or none."""
    serving = service.require()
    sent = _DECODER.decode(body)
    changes = sent if isinstance(sent, list) else [sent]
    if len(changes) > max_items:
        raise InvalidRequest(f"there are {len(changes)} items, expected at most {max_items}")
    seen: set[str] = set()
    for place, change in enumerate(changes):
        if change.id in seen:
            raise InvalidRequest(f"{change.id!r} is named before, expected each item once", path=f"[{place}].id")
        seen.add(change.id)
    items = [NewItem(change.id, change.text, change.columns or {}) for change in changes]
    version = await serving.items.put_items(items)
    return json_reply(ItemsAnswer(len(items), version, round((time.monotonic() - started_s) * 1000.0, 3)))


async def show_item(service: Service, item: str) -> Reply:
    """Return what is known of an item."""
    found = await service.require().items.describe_item(item)
    if found is None:
        raise UnknownItem(f"no item is called {item!r}")
    prior = found.prior if math.isfinite(found.prior) else None
    return json_reply(ItemAnswer(found.item_id, found.text, found.columns, prior, found.online))


async def delete_item(service: Service, item: str) -> Reply:
    """Make an item unknown to every replica."""
    removed = await service.require().items.delete_items([item])
    if not removed:
        raise UnknownItem(f"no item is called {item!r}")
    return json_reply(RemovedAnswer({"items": removed}))
