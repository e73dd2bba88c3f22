"""The composed service: a real bundle in ONNX Runtime, a real Valkey, the real HTTP interface."""

# ruff: noqa: ASYNC110 -- polls what has no event

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import httpx
import numpy as np
import pytest

from app.errors import BundleError
from app.inference.certificate_watch import CertificateWatch
from app.main import create_app
from app.settings import Settings

ITEMS = [f"item-{n}" for n in range(1, 101)]
PATIENT = {"redis_timeout_ms": 2000, "redis_connect_timeout_ms": 2000, "redis_write_timeout_ms": 10_000}
"""A crowded machine must not look like a Redis that is ill: then lists would be made without histories."""


@asynccontextmanager
async def opened(bundle, url, **settings):
    """Yield a client of the service, and the service itself."""
    application = create_app(Settings(bundle=bundle, redis_url=url, log_level="error", **{**PATIENT, **settings}))
    app = application.asgi.app
    async with app.router.lifespan_context(app):
        while application.service.serving is None:
            assert application.service.failure is None, application.service.failure
            await asyncio.sleep(0.01)
        transport = httpx.ASGITransport(application.asgi)
        async with httpx.AsyncClient(transport=transport, base_url="http://seqrank") as client:
            yield client, application.service.serving


async def rank(client, **body):
    answer = await client.post("/rank", json={"timeout_ms": 10_000, **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids_of(answer):
    return [item["item"] for item in answer["items"]]


async def test_a_click_moves_its_item_up(tiny_bundle, valkey_url):
    """What the user did a moment ago is read by the model: the clicked item rises."""
    async with opened(tiny_bundle, valkey_url) as (client, _):
        before = ids_of(await rank(client, user="u", items=ITEMS, top_k=100))
        clicked = before[-1]
        for _ in range(3):
            assert (await client.post("/feedback", json={"user": "u", "item": clicked})).status_code == 200
        after = ids_of(await rank(client, user="u", items=ITEMS, top_k=100))
        assert after.index(clicked) < before.index(clicked)
        await client.delete("/users/u")
        assert ids_of(await rank(client, user="u", items=ITEMS, top_k=100)) == before


@pytest.mark.parametrize("batching", ["off", "on"])
async def test_the_same_request_has_the_same_scores_whatever_runs_beside_it(tiny_bundle, valkey_url, batching):
    """Alone or among forty others, bit for bit the same answer."""
    history = [{"item": f"item-{n}", "timestamp": 1000 * n} for n in range(1, 20)]
    asked = {"items": ITEMS, "history": history, "timestamp": 50_000, "top_k": 100}
    async with opened(tiny_bundle, valkey_url, batching=batching, model_workers=2) as (client, _):
        alone = (await rank(client, **asked))["items"]
        others = [rank(client, user=f"u{n}", items=ITEMS[: 10 + n]) for n in range(40)]
        crowded = await asyncio.gather(*others, *(rank(client, **asked) for _ in range(5)))
        assert all(answer["items"] == alone for answer in crowded[40:])


async def test_the_whole_catalogue_agrees_with_naming_it(tiny_bundle, valkey_url):
    """The list without candidates is the list with every item as a candidate, where all are scored in full."""
    async with opened(tiny_bundle, valkey_url) as (client, _):
        every = [f"item-{n}" for n in range(1, 201)]
        named = await rank(client, user="u", items=every, top_k=30)
        whole = await rank(client, user="u", top_k=30)
        assert [item["score"] for item in whole["items"]] == pytest.approx([item["score"] for item in named["items"]])
        assert "index" not in whole["items"][0]


async def test_a_new_item_ranks_beside_its_like_and_is_gone_after_deletion(tiny_bundle, valkey_url):
    """An item added by its text alone is ranked at once; a text in a request does the same for that request."""
    async with opened(tiny_bundle, valkey_url) as (client, _):
        text = (await client.get("/items/item-5")).json()["text"]
        answer = await client.put("/items", json=[{"id": "twin", "text": text}])
        assert answer.status_code == 200
        items = ["item-5", "twin", {"id": "stranger", "text": text}, "nobody"]
        ranked = await rank(client, user="u", items=items)
        scores = {item["item"]: item["score"] for item in ranked["items"]}
        assert scores["stranger"] == pytest.approx(scores["twin"], abs=1e-4)
        assert ranked["unknown"] == ["nobody"]
        await client.delete("/items/twin")
        assert "twin" in (await rank(client, user="u", items=items))["unknown"]


async def test_weights_diversity_sampling_and_caps_change_the_list(tiny_bundle, valkey_url):
    """Each of the list's rules has its effect on a real bundle, and a seed makes a drawn list repeatable."""
    async with opened(tiny_bundle, valkey_url) as (client, serving):
        plain = await rank(client, user="u", items=ITEMS, top_k=10)
        for rules in (
            {"objective": {serving.info()["objectives"][1]: 1.0}},
            {"diversity": 0.9},
            {"strategy": "sample", "temperature": 5.0, "seed": 3},
            {"max_per": {"category": 1}},
        ):
            first, second = [await rank(client, user="u", items=ITEMS, top_k=10, **rules) for _ in range(2)]
            assert ids_of(first) == ids_of(second) != ids_of(plain)


async def test_info_shows_bundle_provider_batching_and_certificate(tiny_bundle, valkey_url):
    """``/info`` tells what serves and what its choices rest on."""
    async with opened(tiny_bundle, valkey_url) as (client, _):
        info = (await client.get("/info")).json()
    assert info["name"] == "tiny"
    assert info["items"] == 200
    assert info["execution_provider"] == "CPUExecutionProvider"
    assert info["batching"]["measured"]["single_run_ms"]["100"] > 0
    assert info["certificate"]["failure"] is None
    assert info["split"] is None  # nobody trained the tiny bundle


async def test_without_redis_the_service_starts_and_ranks(tiny_bundle):
    """A Redis that is not there is no reason not to start, and feedback is refused honestly."""
    async with opened(tiny_bundle, "redis://127.0.0.1:1") as (client, _):
        ranked = await rank(client, user="u", items=ITEMS)
        assert ranked["reasons"] == ["history_unavailable"]
        assert all(np.isfinite(item["score"]) for item in ranked["items"])
        refused = await client.post("/feedback", json={"user": "u", "item": "item-1"})
        assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
        assert (await client.get("/health/live")).status_code == 200


async def test_a_certificate_that_fails_later_makes_the_service_unready(tiny_bundle):
    """A replay that does not match any more is a failure; one that does again ends it."""
    from app.inference.bundle import open_bundle

    bundle = await asyncio.to_thread(open_bundle, tiny_bundle, provider="cpu")
    watch = CertificateWatch(bundle, every_s=0, is_busy=lambda: False)
    published = bundle.published_ranker
    good = published._table
    published.use_item_table(np.zeros((201, bundle.manifest.vector_width), np.float32))
    await watch.check()
    assert "golden request" in (watch.failure or "")
    published._table = good
    await watch.check()
    assert watch.failure is None


async def test_items_changed_online_are_no_drift_of_the_certificate(tiny_bundle):
    """The golden requests are replayed against the table as it was published, whatever is ranked by now."""
    from app.inference.bundle import open_bundle

    bundle = await asyncio.to_thread(open_bundle, tiny_bundle, provider="cpu")
    watch = CertificateWatch(bundle, every_s=0, is_busy=lambda: False)
    bundle.ranker.use_item_table(np.zeros((201, bundle.manifest.vector_width), np.float32))
    await watch.check()
    assert watch.failure is None


async def test_a_broken_bundle_is_a_failure_with_its_reason(tmp_path, valkey_url):
    """Opening what is no bundle ends in a sentence, for the server to end with."""
    application = create_app(Settings(bundle=tmp_path, redis_url=valkey_url, log_level="error"))
    app = application.asgi.app
    async with app.router.lifespan_context(app):
        while application.service.failure is None:
            await asyncio.sleep(0.01)
    assert "manifest.json" in application.service.failure
    assert issubclass(BundleError, Exception)
