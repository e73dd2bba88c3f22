"""What ``python -m model_export collect`` leaves behind is enough to train again."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from app.contract.online_items import StoredItem
from app.storage.connection import RedisOptions, open_redis
from app.storage.key_layout import KeyLayout
from app.storage.redis_items import RedisItems
from model_export.__main__ import main
from model_export.data.dataset import read_dataset
from tests.integration.opened_history import event, opened_history
from tests.integration.test_collect import ROOT, collect, log_events


async def test_items_of_today_are_written_with_the_bundle_s(valkey_url, tmp_path, tiny_bundle, capsys):
    """What was added and changed online is in the items, so that its events can be prepared; deleted items stay."""
    async with open_redis(RedisOptions(url=valkey_url)) as opened:
        changes = [
            StoredItem("new-1", "walnut desk", {"category": "desks", "size": "9"}, "encoder", np.ones(4, np.float32)),
            StoredItem("item-3", "changed text", {}, "encoder", np.ones(4, np.float32)),
            StoredItem("item-4", "", {}, "encoder", None, deleted=True),
            StoredItem("gone", "", {}, "encoder", None, deleted=True),
        ]
        await RedisItems(opened, layout=KeyLayout()).store(changes)
    async with opened_history(valkey_url) as history:
        await history.append([event(1, item="new-1"), event(2, item="item-3"), event(3, item="item-4")])
    raw, data = tmp_path / "raw", tmp_path / "data"
    assert collect(valkey_url, raw, "--bundle", str(tiny_bundle)) == 0
    said = capsys.readouterr().out
    assert "1 added and 1 changed online; 1 deleted ones are kept" in said
    assert "1 changed values were left out" in said  # the bundle has no sizes
    assert main(["prepare", "--format", "csv", "--input", str(raw), "--output", str(data)]) == 0
    dataset = read_dataset(data)
    before = pq.read_table(tiny_bundle / "items.parquet")
    text_of = dict(zip(dataset.item_ids(), dataset.item_texts(), strict=True))
    assert dataset.item_ids() == [*before.column("item_id").to_pylist(), "new-1"]
    assert (text_of["new-1"], text_of["item-3"]) == ("walnut desk", "changed text")
    assert text_of["item-4"] == before.column("text")[3].as_py()
    assert dataset.items.column("category")[-1].as_py() == "desks"
    assert len(dataset.rows) == 3


async def test_items_of_a_cluster_are_written_too(cluster_url, tmp_path, tiny_bundle):
    """The changes lie in one slot of the cluster."""
    async with open_redis(RedisOptions(url=cluster_url)) as opened:
        item = StoredItem("new-1", "walnut desk", {}, "encoder", np.ones(4, np.float32))
        await RedisItems(opened, layout=KeyLayout()).store([item])
    await log_events(cluster_url, range(5))
    assert collect(cluster_url, tmp_path, "--bundle", str(tiny_bundle)) == 0
    assert pq.read_table(tmp_path / "items.parquet").column("item_id").to_pylist()[-1] == "new-1"


def followed_recipe():
    """Do what docs/data.md says about training again, in the working directory; return the command that comes next."""
    (Path("build") / "data").mkdir()
    old = {"user_id": ["ann"], "item_id": ["item-1"], "action": ["click"], "timestamp": [5], "rating": [1.5]}
    pq.write_table(pa.table(old), "build/data/interactions.parquet")
    _, _, recipe = (ROOT / "docs/data.md").read_text("utf-8").partition("```python\n")
    code, _, after = recipe.partition("```")
    exec(compile(code, "docs/data.md", "exec"), {})  # noqa: S102 -- our own documentation
    [command] = re.findall(r"python -m model_export (prepare --format csv --input build/together .*)", after)
    return command.split()


async def test_old_and_collected_events_are_put_together_as_the_documentation_says(
    valkey_url, tmp_path, tiny_bundle, monkeypatch
):
    """The recipe runs as it stands: the result has the events of both and the items of today; no time is guessed."""
    monkeypatch.chdir(tmp_path)
    in_the_year_9999 = event(3, item="item-4", at_ms=253_402_300_799_999)
    async with opened_history(valkey_url) as history:
        await history.append([event(1, item="item-3"), event(2, item="nobody knows"), in_the_year_9999])
    assert collect(valkey_url, Path("build/collected"), "--bundle", str(tiny_bundle)) == 0
    assert main(followed_recipe()) == 0
    dataset = read_dataset(Path("build/next"))
    assert sorted(dataset.items["item_id"].to_pylist()[row - 1] for row in dataset.rows) == ["item-1", "item-3"]
    assert dataset.item_count == 200
