"""A replay asks a service only about the data that its bundle was made of."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from app.contract.manifest import read_manifest
from model_export.errors import CommandError
from model_export.evaluation.served_shop import require_same_shop_served, require_served
from tests.small_run import small_dataset

if TYPE_CHECKING:
    from pathlib import Path

DATA = small_dataset()
INFO = {"items": DATA.item_count, "items_online": 0, "actions": list(DATA.actions)}


class Served:
    """A service that knows the items of a data set."""

    def __init__(self, ids, texts, *, online=False) -> None:
        self.texts = dict(zip(ids, texts, strict=True))
        self.online = online

    async def item(self, item_id):
        """Return an item, or None."""
        if item_id not in self.texts:
            return None
        return {"text": self.texts[item_id], "online": self.online}


SAME = Served(DATA.item_ids(), DATA.item_texts())


@pytest.mark.parametrize(
    ("client", "info", "sentence"),
    [
        (SAME, INFO | {"items": 4}, "the service has 4 items, the data 60, expected the data that the served bundle"),
        (SAME, INFO | {"actions": ["view"]}, r"the service's actions are \['view'\], those of the data \('click', "),
        (Served([], []), INFO, "the service knows no item 'i1', which the data has"),
        (
            Served(DATA.item_ids(), ["another"] * 60),
            INFO,
            "the service's text of the item 'i1' is 'another', the data's",
        ),
    ],
    ids=["count", "actions", "ids", "texts"],
)
async def test_another_shop_is_refused(client, info, sentence) -> None:
    """Count, actions, ids and texts tell shops apart before a single question is asked."""
    with pytest.raises(CommandError, match=sentence):
        await require_same_shop_served(client, info, DATA)


@pytest.mark.parametrize(
    ("client", "info"),
    [
        (SAME, INFO),
        (SAME, INFO | {"items": 59, "items_online": 1}),
        (Served(DATA.item_ids(), ["changed"] * 60, online=True), INFO | {"items_online": 60}),
    ],
    ids=["same", "one deleted online", "all changed online"],
)
async def test_the_same_shop_is_accepted_whatever_changed_online(client, info) -> None:
    """Items that were changed while the service ran say nothing of the bundle."""
    await require_same_shop_served(client, info, DATA)


def test_another_bundle_than_the_served_one_is_refused(tiny_bundle: Path) -> None:
    """Name and version must be those of `/info`."""
    manifest = read_manifest(tiny_bundle)
    info = {"name": manifest.name, "version": manifest.version}
    require_served(info, manifest)
    with pytest.raises(CommandError, match=f"the service serves {manifest.name} {manifest.version}, --bundle is"):
        require_served(info, replace(manifest, version="other"))
