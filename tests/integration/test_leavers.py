"""Clients that leave in mid-request, on real sockets, in one event loop whose tasks can be counted."""

# ruff: noqa: ASYNC110 -- polls what has no event

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import asynccontextmanager

from app.listening import bind
from app.main import create_app
from app.server import DrainingServer
from app.settings import Settings
from bench.http_load import LoadClient, post_bytes

ITEMS = [f"item-{n}" for n in range(1, 101)]
LEAVERS = 300


@asynccontextmanager
async def listening(bundle, url):
    """Serve in this event loop; yield the service's URL and the service."""
    application = create_app(Settings(bundle=bundle, redis_url=url, log_level="error", timeout_ms=5000))
    with bind("127.0.0.1", 0) as listener:
        server = DrainingServer(application, drain_s=0)
        running = asyncio.create_task(server._serve([listener]))
        while application.service.serving is None:
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", application.service
        server.should_exit = True
        await running


async def leave(url, request, after_s):
    """Send a request and break the connection off."""
    host, _, port = url.removeprefix("http://").partition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(request)
    await asyncio.sleep(after_s)
    writer.transport.abort()


def list_of(body):
    """Return the items and scores of an answer."""
    return [(item["item"], item["score"]) for item in json.loads(body)["items"]]


async def test_leavers_leave_nothing_behind_and_hurt_nobody(tiny_bundle, valkey_url):
    """Neighbours of 300 leavers get right lists or honest refusals; then there are as many tasks as before."""
    async with listening(tiny_bundle, valkey_url) as (url, service):
        requests = [post_bytes("/rank", json.dumps({"user": f"u{n}", "items": ITEMS[n:]}).encode()) for n in range(20)]
        client = LoadClient(url)
        calm = [list_of((await client.send(request))[1]) for request in requests]
        before = Counter(task.get_name().rstrip("0123456789") for task in asyncio.all_tasks())
        going = asyncio.gather(*(leave(url, requests[n % 20], 0.0005 * (n % 5)) for n in range(LEAVERS)))
        wrong = 0
        while not going.done():
            for request, expected in zip(requests, calm, strict=True):
                status, body = await client.send(request)
                wrong += status not in (200, 429) or (status == 200 and list_of(body) != expected)
        await going
        async with asyncio.timeout(10):
            while Counter(task.get_name().rstrip("0123456789") for task in asyncio.all_tasks()) - before:
                await asyncio.sleep(0.02)
        assert wrong == 0
        assert (service.in_flight, service.serving.line.waiting, service.serving.line.running) == (0, 0, 0)
        assert [list_of((await client.send(request))[1]) for request in requests] == calm
        client.close()
