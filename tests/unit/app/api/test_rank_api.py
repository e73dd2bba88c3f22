"""``POST /rank`` as clients see it."""

# ruff: noqa: ARG001, ASYNC110 -- stand-ins take what the real thing takes; polls what has no event

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest

from app.api.rank_query import MOST_LOOKED_AT, _nearest_field
from app.errors import BudgetExceeded, NotReady, Overloaded, ScoringFailed, ShuttingDown
from tests.api_house import ApiHouse


@pytest.fixture
async def house():
    async with ApiHouse() as opened:
        yield opened


async def test_the_answer_has_every_field_of_the_contract(house):
    """A good answer is an object with exactly the documented members."""
    answer = (await house.rank(user="u", items=["i2", {"id": "i1"}], id="abc")).json()
    assert answer.pop("took") > 0
    assert answer == {
        "id": "abc", "model": "shop", "version": "1", "degraded": False, "reasons": [], "unknown": [],
        "items": [
            {"item": "i1", "score": -1.0, "rank": 1, "index": 1}, {"item": "i2", "score": -2.0, "rank": 2, "index": 0},
        ],
        "history": {"used": 0, "newest_age_ms": None, "source": "redis"}, "scored_items": 2,
    }  # fmt: skip


async def test_a_metarank_ranking_event_is_taken_as_it_is(house):
    """The ranking event of Metarank's documentation ranks its items for its user."""
    event = {
        "event": "ranking", "id": "81f46c34", "user": "u", "session": "s", "timestamp": "1661431894711",
        "fields": [{"name": "query", "value": "socks"}],
        "items": [{"id": "i2", "fields": [{"name": "relevancy", "value": 2.0}]}, {"id": "i1", "relevancy": 1.0}],
    }  # fmt: skip
    answer = (await house.client.post("/rank/shop", json=event)).json()
    assert (answer["id"], [item["item"] for item in answer["items"]]) == ("81f46c34", ["i1", "i2"])


@pytest.mark.parametrize("name", ["itmes", "item", "Items", "itemz"])
async def test_misspelt_items_do_not_rank_the_whole_catalogue(house, name):
    """Candidates under a name that is nearly right are a mistake and not a wish for everything."""
    answer = await house.rank(user="u", **{name: ["i1"]})
    assert answer.status_code == 422
    assert answer.json()["error"] == f"{name}: there is no such field, expected items, or none for the whole catalogue"


@pytest.mark.parametrize(
    ("name", "meant"),
    [("Items", "items"), ("topk", "top_k"), ("timeout", "timeout_ms"), ("exclude-seen", "exclude_seen")],
)
async def test_a_misspelt_field_is_not_passed_over(house, name, meant):
    """A member that is nearly a field is named, with candidates or without."""
    for items in ({"items": ["i1"]}, {}):
        answer = await house.rank(user="u", **items, **{name: 1})
        assert answer.status_code == 422
        assert answer.json()["error"].startswith(f"{name}: there is no such field, expected {meant}")


async def test_few_names_of_a_body_full_of_members_are_compared(house):
    """A body has room for a hundred thousand of them, and the event loop has other callers; long ones are like none."""
    before = _nearest_field.cache_info().misses
    members = {f"{place}-{'x' * 1000}": 0 for place in range(100)} | {f"member-{place}": 0 for place in range(1000)}
    assert (await house.rank(user="u", items=["i1"], **members)).status_code == 200
    assert _nearest_field.cache_info().misses - before == MOST_LOOKED_AT


async def test_other_unknown_members_are_ignored(house):
    """What no field is like may be there, with candidates and without."""
    for items in ({"items": ["i1"]}, {}):
        assert (await house.rank(user="u", **items, session=1, fields=[], event="ranking", ids=3)).status_code == 200


async def test_seconds_are_not_taken_for_milliseconds(house):
    """A timestamp in seconds is refused wherever a rank request has one."""
    event = {"item": "i1", "timestamp": 1_700_000_000_000}
    for body, path in (
        ({"user": "u", "timestamp": 1_700_000_000}, "timestamp"),
        ({"history": [event, event | {"timestamp": "1700000000"}]}, "history[1].timestamp"),
    ):
        answer = await house.rank(items=["i1"], **body)
        assert answer.status_code == 422
        assert answer.json()["error"] == (
            f"{path}: 1700000000 looks like seconds, expected epoch milliseconds (1700000000000)"
        )


async def test_the_whole_catalogue_has_no_positions(house):
    """Without items the best of the catalogue come, without ``index``."""
    answer = (await house.rank(user="u", top_k=2)).json()
    assert [set(item) for item in answer["items"]] == [{"item", "score", "rank"}] * 2


async def test_top_n_is_another_name_of_top_k(house):
    """``top_n`` limits the list as ``top_k`` does."""
    assert len((await house.rank(user="u", items=["i1", "i2", "i3"], top_n=2)).json()["items"]) == 2


async def test_twenty_is_the_default_length(house):
    """Without ``top_k`` the list has twenty items."""
    items = [f"x{n}" for n in range(30)]
    assert len((await house.rank(user="u", items=items)).json()["items"]) == 20


async def test_a_missing_id_is_made(house):
    """Answers without an ``id`` in the request have ids of their own."""
    ids = {(await house.rank(user="u", items=["i1"])).json()["id"] for _ in range(2)}
    assert len(ids) == 2
    assert all(ids)


async def test_headers_carry_stages_and_the_request_id(house):
    """``Server-Timing`` names every stage; a request id is echoed; sniffing is forbidden."""
    answer = await house.client.post("/rank", json={"user": "u", "items": ["i1"]}, headers={"x-request-id": "r-1"})
    stages = [part.split(";")[0].strip() for part in answer.headers["server-timing"].split(",")]
    assert stages == ["parse", "history", "candidates", "model", "list", "write"]
    assert answer.headers["x-request-id"] == "r-1"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_history_in_the_request_needs_no_user(house):
    """An anonymous session sends its own events and is ranked by them."""
    history = [{"item": "i9", "timestamp": 5}, {"item": "i2", "action": "cart", "timestamp": "9"}]
    answer = (await house.rank(items=["i1", "i2", "i9"], history=history, timestamp=1009)).json()
    assert answer["items"][0]["item"] == "i2"
    assert answer["history"] == {"used": 2, "newest_age_ms": 1000, "source": "request"}
    answer = (await house.rank(items=["i1"], history=[])).json()
    assert answer["history"] == {"used": 0, "newest_age_ms": None, "source": "request"}


async def test_redis_away_is_a_degraded_200(house):
    """Without Redis the list still comes, and says what it is."""
    house.store.down = True
    answer = await house.rank(user="u", items=["i1"])
    assert (answer.status_code, answer.json()["degraded"]) == (200, True)
    assert answer.json()["reasons"] == ["history_unavailable"]


INVALID = [
    ({"items": ["i1"]}, "user"),
    ({"user": "", "items": ["i1"]}, "user"),
    ({"user": "u" * 257, "items": ["i1"]}, "user"),
    ({"user": 5, "items": ["i1"]}, "user"),
    ({"user": "u", "items": ["i1", "i2", "i1"]}, "items[2]"),
    ({"user": "u", "items": ["i1", {"id": "i1"}]}, "items[1]"),
    ({"user": "u", "items": [{"text": "no id"}]}, "items[0]"),
    ({"user": "u", "items": [""]}, "items[0]"),
    ({"user": "u", "items": "i1"}, "items"),
    ({"user": "u", "items": [f"i{n}" for n in range(2001)]}, "items"),
    ({"user": "u", "items": ["i1"], "top_k": 0}, "top_k"),
    ({"user": "u", "items": ["i1"], "top_k": "5"}, "top_k"),
    ({"user": "u", "items": ["i1"], "top_k": 5, "top_n": 6}, "top_n"),
    ({"user": "u", "items": ["i1"], "timeout_ms": 0}, "timeout_ms"),
    ({"user": "u", "items": ["i1"], "timeout_ms": 10_001}, "timeout_ms"),
    ({"user": "u", "items": ["i1"], "timestamp": -1}, "timestamp"),
    ({"user": "u", "items": ["i1"], "timestamp": "yesterday"}, "timestamp"),
    ({"user": "u", "items": ["i1"], "exclude_seen": 1}, "exclude_seen"),
    ({"items": ["i1"], "history": [{"item": "i1", "action": "wave", "timestamp": 1}]}, "history[0].action"),
    ({"items": ["i1"], "history": [{"item": "i1"}]}, "history[0]"),
    ({"user": "u", "items": ["i1"], "objective": {"fame": 1}}, "objective"),
    ({"user": "u", "items": ["i1"], "diversity": 1.5}, "diversity"),
    ({"user": "u", "items": ["i1"], "strategy": "best"}, "strategy"),
    ({"user": "u", "items": ["i1"], "temperature": 0}, "temperature"),
    ({"user": "u", "items": ["i1"], "max_per": {"color": 1}}, "max_per"),
    ({"user": "u", "items": ["i1"], "max_per": {"parity": 0}}, "max_per"),
    ([], ""),
]


@pytest.mark.parametrize(("body", "path"), INVALID, ids=lambda value: value if isinstance(value, str) else "")
async def test_an_invalid_field_is_422_and_named(house, body, path):
    """Valid JSON that breaks a rule is refused with the path of what broke it."""
    answer = await house.client.post("/rank", json=body)
    assert (answer.status_code, answer.json()["error_type"]) == (422, "validation")
    assert path in answer.json()["error"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"user": "\xff"}', b"nonsense", b'{"user": NaN}', b'{"a":' + b"[" * 100_000],
    ids=["empty", "cut", "not UTF-8", "words", "NaN", "deep"],
)  # fmt: skip
async def test_malformed_json_is_400(house, body):
    """What is no JSON is refused as such, and depth does not hurt."""
    answer = await house.client.post("/rank", content=body)
    assert (answer.status_code, answer.json()["error_type"]) == (400, "malformed")


async def test_empty_items_are_400(house):
    """An empty list of candidates is a mistake of the caller, not the whole catalogue."""
    answer = await house.rank(user="u", items=[])
    assert (answer.status_code, answer.json()["error_type"]) == (400, "empty")


async def test_an_unknown_model_is_404(house):
    """A path with another model's name is not found."""
    answer = await house.rank("/rank/other", user="u", items=["i1"])
    assert (answer.status_code, answer.json()["error_type"]) == (404, "unknown_model")


async def test_a_strict_request_that_would_degrade_is_504(house):
    """``strict`` gets a timeout instead of a list without history."""
    house.store.down = True
    answer = await house.rank(user="u", items=["i1"], strict=True)
    assert (answer.status_code, answer.json()["error_type"]) == (504, "timeout")


async def test_a_full_line_is_429_before_anything_is_parsed(house):
    """A full line refuses even what is no JSON, with an honest estimate in whole seconds."""
    house.scorer.full = Overloaded("the line is full", retry_after_s=2.1)
    answer = await house.client.post("/rank", content=b"{")
    assert (answer.status_code, answer.json()["error_type"]) == (429, "overloaded")
    assert answer.headers["retry-after"] == "3"


@pytest.mark.parametrize(
    ("error", "status"),
    [(ShuttingDown("x"), 503), (NotReady("x"), 503), (Overloaded("x"), 429), (ValueError("secret"), 500)],
)
async def test_errors_inside_have_their_status(house, error, status):
    """Deliberate errors have the table's status; others are a 500 that says nothing of the inside."""
    house.scorer.error = error
    answer = await house.rank(user="u", items=["i1"])
    assert answer.status_code == status
    assert set(answer.json()) == {"error", "error_type"}
    assert "secret" not in answer.text


@pytest.mark.parametrize("error", [ScoringFailed("broken"), BudgetExceeded("late")])
async def test_a_model_that_fails_is_a_degraded_200(house, error):
    """A list by popularity stands in for the model."""
    house.scorer.error = error
    answer = await house.rank(user="u", items=["i2", "i1"])
    assert (answer.status_code, [item["item"] for item in answer.json()["items"]]) == (200, ["i1", "i2"])


async def test_scores_survive_the_way_as_float32(house):
    """A score read by the client is bit-equal to the model's float32."""

    async def thirds(history, rows, *, objective_weights_O, deadline_s, alone):
        return np.float32(1) / rows.astype(np.float32)

    house.scorer.score = thirds
    answer = (await house.rank(user="u", items=["i3"])).json()
    assert np.float32(answer["items"][0]["score"]) == np.float32(1) / np.float32(3)


async def test_a_client_that_leaves_the_line_is_dropped(house):
    """Under load the request of a client that has disconnected is cancelled, and counted."""
    house.scorer.waiting = 1
    house.scorer.delay_s = 30.0
    body = json.dumps({"user": "u", "items": ["i1"]}).encode()
    incoming = asyncio.Queue()
    await incoming.put({"type": "http.request", "body": body, "more_body": False})
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/rank", "headers": [], "query_string": b"", "client": None}
    request = asyncio.create_task(house.application.asgi(scope, incoming.get, send))
    while not house.scorer.asked:
        await asyncio.sleep(0)
    await incoming.put({"type": "http.disconnect"})
    finished, _ = await asyncio.wait({request}, timeout=5)
    assert finished
    assert sent == []
    assert house.service.in_flight == 0
    assert "seqrank_clients_left_total 1.0" in (await house.client.get("/metrics")).text
