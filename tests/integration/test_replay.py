"""Online equals offline: the held-out test of a generated shop through a live service and without it."""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.contract.manifest import ITEMS_FILE
from app.inference.bundle import open_bundle
from model_export.__main__ import main
from model_export.commands import replay as replay_command
from model_export.data.dataset import read_dataset
from model_export.data.splits import leave_one_out, temporal
from model_export.evaluation.questions import Questions
from model_export.evaluation.replay_client import ReplayClient
from model_export.evaluation.replay_offline import expected_places
from model_export.evaluation.replay_plan import ReplayPlan, metrics_of_places
from tests.tiny_bundle import ACTIONS, make_tiny_bundle

if TYPE_CHECKING:
    from collections.abc import Iterator

USERS = 60
NOW_MS = 1_700_000_000_000


@pytest.fixture(scope="module")
def shop(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write prepared data over the tiny bundle's items, in its order; some users have more events than are kept."""
    folder = tmp_path_factory.mktemp("shop")
    items = pq.read_table(tiny_bundle / ITEMS_FILE)
    pq.write_table(items.select(["item_id", "text"]), folder / "items.parquet")
    rng = np.random.default_rng(0)
    users, rows, times, actions = [], [], [], []
    for user in range(USERS):
        group = int(rng.integers(4))
        count = int(rng.choice([3, 8, 30, 90]))
        for step in range(count):
            users.append(f"user {user}/ü")
            rows.append(int(rng.integers(50) * 4 + group) if rng.random() < 0.7 else int(rng.integers(200)))
            times.append(NOW_MS + user * 1000 + (step // 3) * 3_600_000)  # ties of three
            actions.append(ACTIONS[int(rng.choice(3, p=[0.6, 0.3, 0.1]))])
    table = pa.table(
        {
            "user_id": users,
            "item_id": [items.column("item_id")[row].as_py() for row in rows],
            "action": actions,
            "timestamp": pa.array(times, pa.int64()),
            "rating": pa.nulls(len(users), pa.float64()),
        }
    )
    pq.write_table(table, folder / "interactions.parquet")
    return folder


@pytest.fixture(scope="module")
def url(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the tiny bundle in a process of its own, with the embedded store and 50 kept events a user."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "SEQRANK_DATA_DIR": str(tmp_path_factory.mktemp("store")),
        "SEQRANK_HISTORY_KEPT_EVENTS": "50",
        "SEQRANK_APPEND_FSYNC": "no",
    }
    command = [sys.executable, "-m", "app", "--bundle", str(tiny_bundle), "--port", str(port)]
    process = subprocess.Popen(command, env=environment, cwd=Path(__file__).parents[2])
    try:
        _wait_until_ready(f"http://127.0.0.1:{port}", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    until_s = time.monotonic() + 60
    while time.monotonic() < until_s:
        assert process.poll() is None, "the service ended"
        try:
            if httpx.get(f"{url}/health/ready").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    pytest.fail("the service did not become ready")


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--inline-history"],
        ["--diversity", "0.4"],
        ["--strategy", "sample", "--seed", "7", "--temperature", "1.5"],
        ["--objective", '{"relevance": 0.2, "novelty": 0.8}', "--inline-history"],
        ["--users", "20", "--diversity", "0.2", "--strategy", "sample", "--seed", "1", "--inline-history"],
    ],
    ids=["plain", "inline", "diversity", "sample", "objective", "everything"],
)
def test_every_list_is_the_one_that_offline_expects(
    options: list[str], url: str, shop: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    """Replaying ends with 0, and not one answer stands at another place than offline, whatever rules are in use."""
    out = tmp_path / "replay.json"
    arguments = ["replay", "--url", url, "--data", str(shop), "--bundle", str(tiny_bundle), "--kept-events", "50"]
    assert main([*arguments, "--json", str(out), *options]) == 0
    found = json.loads(out.read_text("utf-8"))
    assert found["other_place"] == 0
    assert found["online"] == found["offline"]
    assert found["degraded"] == {}
    assert found["online"]["HR@20"] > 0


async def test_replay_leaves_no_user_behind(url: str, shop: Path) -> None:
    """After a replay the service remembers none of its users."""
    data = read_dataset(shop)
    questions = Questions.of(data, leave_one_out(data).test).subset(np.arange(5))
    async with ReplayClient(url) as client, httpx.AsyncClient(base_url=url) as http:
        await client.replay(questions, ReplayPlan(), lambda: None)
        left = [(await http.get(f"/users/{client.user_name(number)}")).json()["events"] for number in range(5)]
    assert left == [[]] * 5


@pytest.mark.parametrize(("offline", "code", "word"), [(0.4985, 1, "MORE THAN"), (0.4995, 0, "within")])
def test_the_exit_code_is_the_tolerance(
    offline: float, code: int, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command ends with 1 if NDCG@10 differs by more than 0.001, and says which it is and what may be why."""
    result = {
        "online": {"NDCG@10": 0.5}, "offline": {"NDCG@10": offline}, "questions": 1, "seconds": 1.0, "degraded": {},
        "repeated": 0, "busy": 0, "latency_ms": {"p50": 1.0, "p99": 1.0}, "offline_source": "a test",
        "service": {"items_online": 3},
    }  # fmt: skip
    assert replay_command._verdict(result) == code
    said = capsys.readouterr().out
    assert f"{word} 0.001" in said
    assert ("items changed online: 3" in said) == bool(code)


def test_questions_are_divided_off_as_for_the_training_of_the_served_bundle(shop: Path) -> None:
    """Somebody who trained with --split temporal names it to nobody again: the service says it."""
    arguments = argparse.Namespace(data=shop, division=None, users=None)
    asked = replay_command._questions(arguments, None, {"split": "temporal"})
    assert asked.targets.events.tolist() == temporal(read_dataset(shop)).test.events.tolist()


def test_another_shop_is_refused(url: str, shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bundle of other items than the data's cannot be compared: the command ends with 2 and says so."""
    other = make_tiny_bundle(tmp_path / "other", item_count=150)
    assert main(["replay", "--url", url, "--data", str(shop), "--bundle", str(other), "--users", "3"]) == 2
    assert "items" in capsys.readouterr().err


def test_data_that_the_service_does_not_serve_are_refused(
    url: str, shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a bundle to compare with, what the live service says of its shop is compared: nothing is asked."""
    items = pq.read_table(shop / "items.parquet")
    pq.write_table(
        pa.concat_tables([items, pa.table({"item_id": ["new"], "text": ["new"]})]), tmp_path / "items.parquet"
    )
    (tmp_path / "interactions.parquet").write_bytes((shop / "interactions.parquet").read_bytes())
    assert main(["replay", "--url", url, "--data", str(tmp_path), "--users", "3"]) == 2
    assert "the service has 200 items, the data 201, expected the data that the served" in capsys.readouterr().err


def test_a_service_that_is_not_there_is_one_sentence(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a service the command ends with 2 and names the request that got no answer."""
    assert main(["replay", "--url", "http://127.0.0.1:9", "--data", str(shop)]) == 2
    assert "GET /info got no answer" in capsys.readouterr().err


def test_a_bundle_is_evaluated_through_the_class_that_serves(shop: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    """`evaluate --bundle` has the same numbers for plain lists as the replay's offline side."""
    data = read_dataset(shop)
    questions = Questions.of(data, leave_one_out(data).test)
    places_T = expected_places(open_bundle(tiny_bundle), questions, ReplayPlan())
    out = tmp_path / "e.json"
    arguments = ["evaluate", "--bundle", str(tiny_bundle), "--data", str(shop), "--baselines", "popularity"]
    assert main([*arguments, "--json", str(out)]) == 0
    found = json.loads(out.read_text("utf-8"))["seqrank"]
    for key, value in metrics_of_places(places_T, 20).items():
        assert found[key] == pytest.approx(value, abs=1e-12), key
