"""Feedback, users, items, probes and information as clients see them."""

from __future__ import annotations

import asyncio
import json

import pytest

from app.errors import BundleError
from tests.api_house import ApiHouse


@pytest.fixture
async def house():
    async with ApiHouse() as opened:
        yield opened


@pytest.mark.parametrize("path", ["/feedback", "/events"])
async def test_an_event_is_stored_and_used_by_the_next_list(house, path):
    """What feedback acknowledges is what the next list rests on."""
    answer = await house.client.post(path, json={"user": "u", "item": "i9"})
    assert (answer.status_code, answer.json()["status"], answer.json()["accepted"]) == (200, "ok", 1)
    ranked = (await house.rank(user="u", items=["i1", "i9"])).json()
    assert (ranked["items"][0]["item"], ranked["history"]["used"]) == ("i9", 1)


async def test_an_array_of_events_is_stored_and_an_id_counts_once(house):
    """The same ``id`` twice counts once; actions default to the bundle's first."""
    events = [
        {"id": "e1", "user": "u", "item": "i1"},
        {"id": "e1", "user": "u", "item": "i1"},
        {"id": "e2", "user": "u", "item": "i2", "action": "cart", "timestamp": "17"},
    ]
    assert (await house.client.post("/feedback", json=events[:1])).json()["accepted"] == 1
    assert (await house.client.post("/feedback", json=events[1:])).json()["accepted"] == 1
    shown = (await house.client.get("/users/u")).json()
    assert shown["user"] == "u"
    assert shown["events"][0] == {"id": "e2", "item": "i2", "action": "cart", "timestamp": 17}
    assert shown["events"][1]["action"] == "click"


@pytest.mark.parametrize("bad", [{"user": "u"}, {"user": "u", "item": 5}, {"user": "u", "item": "i", "action": "wave"}])
async def test_a_bad_event_names_its_position_and_nothing_is_stored(house, bad):
    """One bad event of an array refuses all of them, by its position."""
    answer = await house.client.post("/feedback", json=[{"user": "u", "item": "i1"}, {"user": "u", "item": "i2"}, bad])
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("[2]")
    assert house.store.events == {}


async def test_events_that_redis_refuses_are_503(house):
    """An event that is not stored is not acknowledged, and the client is told when to try again."""
    house.store.down = True
    answer = await house.client.post("/feedback", json={"user": "u", "item": "i1"})
    assert (answer.status_code, answer.json()["error_type"]) == (503, "storage_unavailable")
    assert int(answer.headers["retry-after"]) >= 1


async def test_an_unknown_user_is_not_an_error(house):
    """Nobody has an empty list of events, and is forgotten with success."""
    assert (await house.client.get("/users/nobody")).json() == {"user": "nobody", "events": []}
    assert (await house.client.delete("/users/nobody")).json()["status"] == "ok"


async def test_a_user_is_forgotten_under_any_name(house):
    """Ids with slashes, spaces and line ends are users as well."""
    await house.client.post("/feedback", json={"user": "a/b c\nd\n", "item": "i1"})
    answer = await house.client.delete("/users/a%2Fb%20c%0Ad%0A")
    assert answer.json() == {"removed": {"history_events": 1}, "status": "ok"}
    assert (await house.client.get("/users/a%2Fb%20c%0Ad%0A")).json()["events"] == []
    assert 'route="/users/{user}",status="200"' in (await house.client.get("/metrics")).text


async def test_an_item_can_be_added_ranked_shown_and_deleted(house):
    """The life of an item, from its text to its end."""
    answer = (await house.client.put("/items", json=[{"id": "new", "text": "red socks"}])).json()
    assert (answer["status"], answer["accepted"], answer["catalog_version"]) == ("ok", 1, 1)
    assert (await house.rank(user="u", items=["new"])).json()["unknown"] == []
    shown = (await house.client.get("/items/new")).json()
    assert (shown["id"], shown["text"], shown["online"]) == ("new", "red socks", True)
    assert (await house.client.delete("/items/new")).json() == {"removed": {"items": 1}, "status": "ok"}
    for method in ("GET", "DELETE"):
        answer = await house.client.request(method, "/items/new")
        assert (answer.status_code, answer.json()["error_type"]) == (404, "unknown_item")


@pytest.mark.parametrize(
    ("body", "path"),
    [([{"id": "a"}], "[0]"), ([{"id": "a", "text": ""}], "[0].text"), ([{"id": "a", "text": "x"}] * 2, "[1].id")],
)
async def test_a_bad_item_is_422(house, body, path):
    """An item without text, or twice in one call, is refused by its position."""
    answer = await house.client.put("/items", json=body)
    assert (answer.status_code, path in answer.json()["error"]) == (422, True)
    assert house.catalog.texts == {}


@pytest.mark.parametrize("path", ["/health/live", "/v2/health/live"])
async def test_liveness_fails_with_the_model_and_not_with_redis(house, path):
    """A stuck model thread fails liveness; Redis being away does not."""
    house.store.down = True
    assert (await house.client.get(path)).status_code == 200
    house.trouble = "the thread ranker-0 has died"
    answer = await house.client.get(path)
    assert (answer.status_code, answer.json()["error"]) == (503, "the thread ranker-0 has died")


@pytest.mark.parametrize("path", ["/health", "/health/ready", "/v2/health/ready"])
async def test_readiness_says_degraded_without_redis(house, path):
    """An open circuit is said and fails nothing; beside it stands what the model runs on."""
    house.degraded = ["redis"]
    answer = await house.client.get(path)
    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "provider": "cpu", "degraded": ["redis"]})


async def test_a_failed_certificate_fails_readiness_and_ranking(house):
    """When the golden requests do not match any more, the service takes no requests."""
    house.unready = "the certificate failed: golden request 3"
    assert (await house.client.get("/health/ready")).status_code == 503
    answer = await house.rank(user="u", items=["i1"])
    assert (answer.status_code, answer.json()["error_type"]) == (503, "not_ready")
    assert (await house.client.get("/health/live")).status_code == 200


async def test_draining_is_503_for_new_work(house):
    """After SIGTERM readiness and new requests are refused, liveness is not."""
    house.service.draining = True
    assert (await house.client.get("/health/ready")).json()["error_type"] == "draining"
    answer = await house.rank(user="u", items=["i1"])
    assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
    assert (await house.client.get("/health/live")).status_code == 200


async def test_while_opening_the_service_is_alive_and_not_ready():
    """Before the bundle is open liveness is good, readiness and ranking say starting."""
    house = ApiHouse()
    house.may_open.clear()
    async with house:
        assert (await house.client.get("/health/live")).status_code == 200
        for answer in (await house.client.get("/health/ready"), await house.rank(user="u")):
            assert (answer.status_code, answer.json()["error_type"]) == (503, "not_ready")
        house.may_open.set()
        await house.opened()
        assert (await house.client.get("/health/ready")).status_code == 200
    assert house.closed


async def test_a_bundle_that_does_not_open_fails_both_probes():
    """The reason is kept for the server, which ends with it."""
    house = ApiHouse()
    house.opening_error = BundleError("ranker.onnx is broken")
    async with house:
        assert house.service.failure == "ranker.onnx is broken"
        assert (await house.client.get("/health/live")).status_code == 503
        assert (await house.client.get("/health/ready")).status_code == 503


async def test_the_latency_probe_shows_stages_and_percentiles(house):
    """One canned request goes the real way; recent requests are summed up."""
    await house.rank(user="u", items=["i1"])
    answer = await house.client.get("/health/latency")
    assert answer.status_code == 200
    assert list(answer.json()["stages_ms"]) == ["history", "candidates", "model", "list"]
    assert answer.json()["recent"]["count"] == 1
    assert {"p50_ms", "p95_ms", "p99_ms"} <= set(answer.json()["recent"])


async def test_the_latency_probe_fails_past_its_objective():
    """Past ``SEQRANK_LATENCY_SLO_MS`` the probe answers 503 with the same numbers."""
    async with ApiHouse(latency_slo_ms=0.0001) as house:
        answer = await house.client.get("/health/latency")
        assert (answer.status_code, answer.json()["within_slo"]) == (503, False)


async def test_latency_probes_share_one_canned_request(house):
    """Many probes at once cost one request."""
    house.scorer.delay_s = 0.01
    answers = await asyncio.gather(*(house.client.get("/health/latency") for _ in range(5)))
    assert [answer.status_code for answer in answers] == [200] * 5
    assert len(house.scorer.asked) == 1


async def test_info_names_bundle_and_limits(house):
    """``/info`` tells what is served and what may be asked."""
    info = (await house.client.get("/info")).json()
    assert info["name"] == "shop"
    assert info["limits"]["max_items"] == 2000


async def test_metrics_exist_from_the_start(house):
    """Every counter's label sets are there at 0 before the first request."""
    text = (await house.client.get("/metrics")).text
    for line in (
        'seqrank_rank_requests_total{outcome="degraded"} 0.0',
        'seqrank_fallback_total{reason="history_unavailable"} 0.0',
        'seqrank_rank_stage_duration_seconds_count{stage="model"} 0.0',
        'seqrank_http_requests_total{route="/rank",status="200"} 0.0',
    ):
        assert line in text


async def test_metrics_count_lists_errors_and_reasons(house):
    """Good, degraded and refused requests are told apart."""
    await house.rank(user="u", items=["i1"])
    house.store.down = True
    await house.rank(user="u", items=["i1"])
    await house.client.post("/rank", content=b"{")
    text = (await house.client.get("/metrics")).text
    for line in (
        'seqrank_rank_requests_total{outcome="full"} 1.0',
        'seqrank_fallback_total{reason="history_unavailable"} 1.0',
        'seqrank_http_requests_total{route="/rank",status="400"} 1.0',
    ):
        assert line in text


async def test_unknown_paths_and_methods_have_error_bodies(house):
    """The framework's own errors look like ours."""
    lost = await house.client.get("/nowhere")
    assert (lost.status_code, set(lost.json())) == (404, {"error", "error_type"})
    wrong = await house.client.get("/rank")
    assert (wrong.status_code, wrong.json()["error_type"], wrong.headers["allow"]) == (
        405,
        "method_not_allowed",
        "POST",
    )
    both = await house.client.post("/users/u")
    assert (both.status_code, both.headers["allow"]) == (405, "DELETE, GET")
    long = await house.client.get("/users/" + "u" * 257)
    assert (long.status_code, long.json()["error_type"]) == (422, "validation")


async def test_every_schema_of_the_document_resolves(house):
    """Each reference of the OpenAPI document leads to a schema, and every operation documents its errors."""
    document = (await house.client.get("/openapi.json")).json()
    text = json.dumps(document)
    names = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert names <= set(document["components"]["schemas"])
    rank = document["paths"]["/rank"]["post"]
    assert {"200", "400", "401", "404", "413", "422", "429", "503", "504"} <= set(rank["responses"])
    assert "HTTPValidationError" not in text
    assert (await house.client.get("/docs")).status_code == 200


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("path", ["/users/ada", "/items/i1"])
async def test_a_slash_at_the_end_is_not_part_of_an_id(house, method, path):
    """Forgetting ``ada/`` would forget nobody and say that it did; a slash that is meant is percent-encoded."""
    answer = await house.client.request(method, f"{path}/")
    assert answer.status_code == 422
    assert "%2F" in answer.json()["error"]
    assert (await house.client.get("/users/ada%2F")).json()["user"] == "ada/"


async def test_an_id_in_a_path_is_utf_8(house):
    """Bytes that are no UTF-8 would all be one and the same user."""
    answer = await house.client.get("/users/%ff")
    assert (answer.status_code, answer.json()["error"]) == (
        422, "the id is not UTF-8, expected percent-encoded UTF-8"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "body", "error"),
    [
        (
            "POST",
            "/feedback",
            [{"user": "u", "item": "i1", "event_id": "a"}],
            "[0]: Object contains unknown field event_id, expected only user, item, action, timestamp, id",
        ),
        (
            "PUT",
            "/items",
            {"id": "i9", "text": "a chair", "price": 3},
            "Object contains unknown field price, expected only id, text, columns",
        ),
    ],
)
async def test_events_and_items_have_no_other_members(house, method, path, body, error):
    """What nobody reads would be lost: an event's id under another name makes a repetition count twice."""
    answer = await house.client.request(method, path, json=body)
    assert (answer.status_code, answer.json()["error"]) == (422, error)


async def test_feedback_in_seconds_is_refused(house):
    """An event of 2023 is not stored as one of January 1970."""
    answer = await house.client.post("/feedback", json=[{"user": "u", "item": "i1", "timestamp": 1_700_000_000}])
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("[0].timestamp: 1700000000 looks like seconds")
    assert (await house.client.get("/users/u")).json()["events"] == []
