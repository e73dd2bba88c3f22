"""``python -m model_export collect`` on a real Valkey."""

from __future__ import annotations

import fcntl
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from model_export.__main__ import main
from model_export.data.dataset import read_dataset
from tests.integration.opened_history import event, opened_history

ROOT = Path(__file__).parents[2]


def collect(url, folder, *options):
    """Run the command in this process."""
    return main(["collect", "--redis", url, "--output", str(folder), *options])


def collected_ids(folder):
    """Return the event ids of the merged file, in order."""
    return pq.read_table(folder / "interactions.parquet").column("event_id").to_pylist()


async def log_events(url, numbers, *, users=10):
    """Store events of several users."""
    async with opened_history(url) as history:
        await history.append([event(number, user=f"user-{number % users}") for number in numbers])


async def test_each_event_is_collected_once_over_several_runs(valkey_url, tmp_path):
    """A second run adds what came since the first, and a third adds nothing."""
    await log_events(valkey_url, range(100))
    assert collect(valkey_url, tmp_path) == 0
    assert sorted(collected_ids(tmp_path)) == sorted(f"e{n}" for n in range(100))
    await log_events(valkey_url, range(100, 130))
    assert collect(valkey_url, tmp_path) == 0
    assert collect(valkey_url, tmp_path) == 0
    assert sorted(collected_ids(tmp_path)) == sorted(f"e{n}" for n in range(130))


async def test_what_was_collected_can_be_prepared(valkey_url, tmp_path, tiny_bundle):
    """The folder, with a bundle's items, goes through ``prepare --format csv`` into a data set."""
    async with opened_history(valkey_url) as history:
        await history.append([event(n, user=f"user-{n % 5}", item=f"item-{n % 50 + 1}") for n in range(60)])
    raw, data = tmp_path / "raw", tmp_path / "data"
    assert collect(valkey_url, raw, "--bundle", str(tiny_bundle)) == 0
    assert main(["prepare", "--format", "csv", "--input", str(raw), "--output", str(data)]) == 0
    dataset = read_dataset(data)
    assert (len(dataset.rows), dataset.user_count, dataset.item_count) == (60, 5, 200)
    assert dataset.actions == ("view",)
    assert sorted(dataset.timestamps_ms.tolist()) == [event(n).timestamp_ms for n in range(60)]


async def test_an_id_that_was_logged_twice_is_collected_once(valkey_url, tmp_path):
    """Entries of the same event id count once, within a run and over runs."""
    async with opened_history(valkey_url) as history:
        await history.append([event(1)])
        await history._redis.client.delete(history._layout.of_user("ann").packed)
        await history.append([event(1), event(2)])
        assert collect(valkey_url, tmp_path) == 0
        await history._redis.client.delete(history._layout.of_user("ann").packed)
        await history.append([event(2), event(3)])
    assert collect(valkey_url, tmp_path) == 0
    assert collected_ids(tmp_path) == ["e1", "e2", "e3"]


async def test_the_same_id_of_two_users_is_two_events(valkey_url, tmp_path):
    """Clients that number the events of each user lose none of them."""
    async with opened_history(valkey_url) as history:
        await history.append([event(1, user="ann"), event(1, user="bob"), event(1, user="ann")])
    assert collect(valkey_url, tmp_path) == 0
    assert collected_ids(tmp_path) == ["e1", "e1"]


async def test_killed_at_any_moment_it_goes_on_without_loss_or_double(valkey_url, tmp_path, capsys):
    """Kill -9 at random moments, again and again: the last run completes the folder, each event once."""
    await log_events(valkey_url, range(2000), users=200)
    command = [sys.executable, "-m", "model_export", "collect", "--redis", valkey_url, "--output", str(tmp_path)]
    command += ["--events-a-part", "50"]
    draw = random.Random(5)
    kills = 0
    for _ in range(4):
        run = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)  # noqa: ASYNC220 -- nothing else to do
        give_up_s = time.monotonic() + 20
        parts = len(list((tmp_path / "parts").glob("*"))) if (tmp_path / "parts").exists() else 0
        while run.poll() is None and time.monotonic() < give_up_s:
            now = len(list((tmp_path / "parts").glob("*"))) if (tmp_path / "parts").exists() else 0
            if now > parts:
                time.sleep(draw.uniform(0, 0.02))  # noqa: ASYNC251 -- nothing else to do
                break
        if run.poll() is None:
            run.send_signal(signal.SIGKILL)
            kills += 1
        run.wait()
    assert kills > 0
    assert collect(valkey_url, tmp_path, "--events-a-part", "50") == 0
    assert sorted(collected_ids(tmp_path)) == sorted(f"e{n}" for n in range(2000))
    assert "were gone" not in capsys.readouterr().out


async def test_part_files_that_the_state_does_not_name_do_not_count(valkey_url, tmp_path):
    """A part left by a killed run is removed, and its events are collected again."""
    await log_events(valkey_url, range(10))
    assert collect(valkey_url, tmp_path) == 0
    part = next((tmp_path / "parts").iterdir())
    (tmp_path / "parts" / "part-000002.parquet").write_bytes(part.read_bytes())
    assert collect(valkey_url, tmp_path) == 0
    assert len(collected_ids(tmp_path)) == 10
    assert [path.name for path in (tmp_path / "parts").iterdir()] == [part.name]


async def test_another_redis_is_refused(valkey_server, tmp_path, capsys):
    """A log that ends before the place where the last run stopped is not the same log."""
    await log_events(valkey_server.url, range(10), users=1)
    assert collect(valkey_server.url, tmp_path) == 0
    state = json.loads((tmp_path / "collected.json").read_text())
    state["offsets"] = {partition: f"9{entry}" for partition, entry in state["offsets"].items()}
    (tmp_path / "collected.json").write_text(json.dumps(state))
    assert collect(valkey_server.url, tmp_path) == 2
    assert "this is another Redis" in capsys.readouterr().err


async def test_a_cluster_is_collected_too(cluster_url, tmp_path):
    """The partitions of every primary are drained."""
    await log_events(cluster_url, range(50), users=50)
    assert collect(cluster_url, tmp_path) == 0
    assert sorted(collected_ids(tmp_path)) == sorted(f"e{n}" for n in range(50))


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("redis://127.0.0.1:1", "cannot be read from Redis"),
        ("redis+cluster://127.0.0.1:1", "cannot be read from Redis"),
        ("http://x", "--redis is no URL"),
    ],
)
def test_a_redis_that_is_not_there_is_a_sentence(url, sentence, tmp_path, capsys):
    """Nobody listening, or no Redis URL, ends with code 2 and one sentence."""
    assert collect(url, tmp_path) == 2
    assert sentence in capsys.readouterr().err


async def test_entries_that_make_no_sense_are_left_out_and_said(valkey_url, tmp_path, capsys):
    """An entry without its fields is counted, not fatal."""
    async with opened_history(valkey_url) as history:
        await history.append([event(1)])
        await history._redis.client.xadd(history._layout.of_user("ann").log, {"nonsense": "1"})
    assert collect(valkey_url, tmp_path) == 0
    assert collected_ids(tmp_path) == ["e1"]
    assert "1 entries of the log were left out" in capsys.readouterr().out


async def test_entries_that_were_trimmed_before_they_were_read_are_said(valkey_url, tmp_path, capsys):
    """What the log lost between two runs is counted and said once; so is what it lost before the first."""
    async with opened_history(valkey_url) as history:
        log, redis = history._layout.of_user("ann").log, history._redis.client
        await history.append([event(n) for n in range(10)])
        await redis.xtrim(log, maxlen=8, approximate=False)
        assert collect(valkey_url, tmp_path) == 0
        assert "2 entries of the log were gone before" in capsys.readouterr().out
        await history.append([event(n) for n in range(10, 30)])
        await redis.xtrim(log, maxlen=15, approximate=False)
        assert collect(valkey_url, tmp_path) == 0
        assert "5 entries of the log were gone before" in capsys.readouterr().out
        await history.append([event(30)])
        assert collect(valkey_url, tmp_path) == 0
        assert "were gone" not in capsys.readouterr().out
    assert collected_ids(tmp_path) == [f"e{n}" for n in (*range(2, 10), *range(15, 31))]


async def test_entries_that_were_collected_and_then_trimmed_or_forgotten_are_not_missed(valkey_url, tmp_path, capsys):
    """Trimming what was read, and forgetting a user while older entries remain, is no loss."""
    async with opened_history(valkey_url) as history:
        log, redis = history._layout.of_user("ann").log, history._redis.client
        neighbour = next(name for n in range(9999) if history._layout.of_user(name := f"n{n}").log == log)
        await history.append([event(n) for n in range(10)])
        assert collect(valkey_url, tmp_path) == 0
        await redis.xtrim(log, maxlen=3, approximate=False)
        await history.append([event(10), event(11, user=neighbour)])
        assert (await history.forget(neighbour))["log_entries"] == 1
        assert collect(valkey_url, tmp_path) == 0
        assert collect(valkey_url, tmp_path) == 0
    assert "were gone" not in capsys.readouterr().out
    assert collected_ids(tmp_path) == [f"e{n}" for n in range(11)]


async def test_a_state_of_before_positions_is_read(valkey_url, tmp_path, capsys):
    """A folder that does not know how many entries there were goes on, and guesses no loss."""
    await log_events(valkey_url, range(10), users=1)
    assert collect(valkey_url, tmp_path) == 0
    state = json.loads((tmp_path / "collected.json").read_text())
    del state["positions"]
    (tmp_path / "collected.json").write_text(json.dumps(state))
    await log_events(valkey_url, range(10, 20), users=1)
    assert collect(valkey_url, tmp_path) == 0
    assert "were gone" not in capsys.readouterr().out
    assert len(collected_ids(tmp_path)) == 20


def test_a_bundle_that_is_none_is_refused_at_once(tmp_path, capsys):
    """Nothing is drained, and no folder made, for items that are not there."""
    assert collect("redis://127.0.0.1:1", tmp_path / "out", "--bundle", str(tmp_path / "nope")) == 2
    assert "nope has no items.parquet, expected a bundle" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_collected_into_by_one_at_a_time(valkey_url, tmp_path, capsys):
    """A second run on the same folder is refused while the first holds it."""
    lock = os.open(tmp_path / ".lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert collect(valkey_url, tmp_path) == 2
    os.close(lock)
    assert "in use by another collect" in capsys.readouterr().err


@pytest.mark.parametrize(
    "foreign", ["interactions.parquet", "parts/part-000001.parquet", "parts/notes.txt"], ids=["data", "part", "notes"]
)
def test_a_folder_that_collect_has_not_written_is_refused_untouched(foreign, tmp_path, capsys):
    """Prepared data, or any other file, is neither overwritten nor removed, and nothing is added."""
    folder = tmp_path / "shop"
    (folder / foreign).parent.mkdir(parents=True)
    (folder / foreign).write_text("mine")
    assert collect("redis://127.0.0.1:1", folder) == 2
    assert "which is not from an earlier collect; name an empty or new folder" in capsys.readouterr().err
    assert [path for path in folder.rglob("*") if path.is_file()] == [folder / foreign]
    assert (folder / foreign).read_text() == "mine"


async def test_a_run_that_was_killed_before_its_first_state_goes_on(valkey_url, tmp_path):
    """A lock and a part without a state are what a kill left: the part is collected again."""
    await log_events(valkey_url, range(10))
    (tmp_path / "parts").mkdir()
    (tmp_path / ".lock").touch()
    (tmp_path / "parts" / "part-000001.parquet").write_bytes(b"half")
    assert collect(valkey_url, tmp_path) == 0
    assert len(collected_ids(tmp_path)) == 10
