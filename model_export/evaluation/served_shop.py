"""Whether a live service serves the data that a replay asks it about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from model_export.errors import CommandError

if TYPE_CHECKING:
    from app.contract.manifest import Manifest
    from model_export.data.dataset import Dataset
    from model_export.evaluation.replay_client import ReplayClient

_ADVICE: Final = "expected the data that the served bundle was made of"


async def require_same_shop_served(client: ReplayClient, info: dict[str, Any], data: Dataset) -> None:
    """Refuse data that the live bundle was not made of, as far as a service can tell.

    Compared are the number of items (unless some were changed online), the actions, and id and text of the first, the
    middle and the last item.

    Args:
        client: Of the service.
        info: What its ``/info`` says.
        data: What the questions come from.

    Raises:
        CommandError: If they differ.
    """
    if not info["items_online"] and info["items"] != data.item_count:
        raise CommandError(f"the service has {info['items']} items, the data {data.item_count}, {_ADVICE}")
    if tuple(info["actions"]) != data.actions:
        raise CommandError(f"the service's actions are {info['actions']}, those of the data {data.actions}, {_ADVICE}")
    ids, texts = data.item_ids(), data.item_texts()
    for position in sorted({0, len(ids) // 2, len(ids) - 1}):
        item_id, text = ids[position], texts[position]
        served = await client.item(item_id)
        if served is None and not info["items_online"]:
            raise CommandError(f"the service knows no item {item_id!r}, which the data has, {_ADVICE}")
        if served is not None and not served["online"] and served["text"] != text:
            raise CommandError(
                f"the service's text of the item {item_id!r} is {served['text'][:60]!r}, the data's {text[:60]!r}, "
                f"{_ADVICE}"
            )


def require_served(info: dict[str, Any], manifest: Manifest) -> None:
    """Refuse a bundle that is not the one that is served.

    Args:
        info: What the service's ``/info`` says.
        manifest: Of the bundle that offline lists are computed with.

    Raises:
        CommandError: If name or version differ.
    """
    served, given = (info["name"], info["version"]), (manifest.name, manifest.version)
    if served != given:
        raise CommandError(f"the service serves {' '.join(served)}, --bundle is {' '.join(given)}, expected the same")
