"""Health of the composed service: what a probe says while something is really broken."""

# ruff: noqa: ASYNC110 -- polls what has no event

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace

from tests.integration.test_service_with_bundle import ITEMS, opened, rank


class BlockingModel:
    """Stands in front of a model and lets nothing through while its gate is closed."""

    def __init__(self, model) -> None:
        self.model, self.gate = model, threading.Event()

    def score(self, batch):
        """Wait for the gate, then score."""
        assert self.gate.wait(20)
        return self.model.score(batch)


async def until_status(client, path, status):
    """Wait for a probe's status; return its last answer."""
    async with asyncio.timeout(20):
        while (answer := await client.get(path)).status_code != status:
            await asyncio.sleep(0.01)
    return answer.json()


async def test_a_stuck_model_fails_both_probes_until_it_moves_again(tiny_bundle, valkey_url):
    """While a run hangs, liveness and readiness are 503 and lists still come in time; when it ends, both are 200."""
    async with opened(tiny_bundle, valkey_url, stuck_after_s=0.1, redis_timeout_ms=1000) as (client, serving):
        line = serving.line
        line.policy = replace(line.policy, inline_below_s=0.0)
        line._model = stuck = BlockingModel(line._model)
        ranked = await client.post("/rank", json={"user": "u", "items": ITEMS, "timeout_ms": 1000})
        assert (ranked.status_code, ranked.json()["reasons"]) == (200, ["model_timeout"])
        said = await until_status(client, "/health/live", 503)
        assert "has been at one run for more than 0.1 s" in said["error"]
        assert (await client.get("/health/ready")).status_code == 503
        stuck.gate.set()
        await until_status(client, "/health/live", 200)
        assert (await rank(client, user="u", items=ITEMS))["degraded"] is False


async def test_a_dead_worker_thread_fails_liveness(tiny_bundle, valkey_url):
    """A thread that has ended by itself is named, and a probe that restarts the process is told so."""
    async with opened(tiny_bundle, valkey_url) as (client, serving):
        assert (await client.get("/health/live")).status_code == 200
        serving.line._workers._tasks.put(None)
        said = await until_status(client, "/health/live", 503)
        assert "has died" in said["error"]


async def test_an_open_circuit_is_said_as_degraded(tiny_bundle, own_server):
    """With Redis gone the service stays alive and ready, and says what is missing until Redis is back."""
    async with opened(tiny_bundle, own_server.url) as (client, _):
        own_server.kill()
        for _ in range(6):
            assert (await rank(client, user="u", items=ITEMS))["reasons"] == ["history_unavailable"]
        ready = await client.get("/health/ready")
        assert (ready.status_code, ready.json()["degraded"]) == (200, ["redis"])
        assert (await client.get("/health/live")).status_code == 200
        own_server.start_again()
        async with asyncio.timeout(20):
            while (await client.get("/health/ready")).json()["degraded"]:
                await asyncio.sleep(0.02)


async def test_a_failed_certificate_makes_the_composed_service_unready(tiny_bundle, valkey_url):
    """A replay that fails while serving stops readiness and ranking, and leaves liveness alone."""
    async with opened(tiny_bundle, valkey_url) as (client, serving):
        watch = serving.info.args[4]
        watch.failure = "golden request 3 has another score"
        assert (await client.get("/health/ready")).status_code == 503
        refused = await client.post("/rank", json={"user": "u", "items": ITEMS})
        assert (refused.status_code, "golden request 3" in refused.json()["error"]) == (503, True)
        assert (await client.get("/health/live")).status_code == 200
