"""The replay's client against a service that is given."""

import httpx
import pytest

from model_export.errors import CommandError
from model_export.evaluation import replay_client as module
from model_export.evaluation.replay_client import ReplayClient


def _client(monkeypatch, answers) -> ReplayClient:
    """Return a client of a service that gives these answers, one after the other."""
    monkeypatch.setattr(module, "_LONGEST_WAIT_S", 0.0)
    monkeypatch.setattr(module, "_PAUSE_S", 0.0)
    left = iter(answers)
    client = ReplayClient("http://service")
    client._http = httpx.AsyncClient(base_url="http://service", transport=httpx.MockTransport(lambda _: next(left)))
    return client


async def test_a_busy_service_is_asked_again(monkeypatch) -> None:
    """After 429 and 503 the same request is sent again, and counted."""
    busy = [httpx.Response(429, headers={"retry-after": "2"}), httpx.Response(503)]
    answers = [*busy, httpx.Response(200, json={"a": 1})]
    async with _client(monkeypatch, answers) as client:
        assert await client.info() == {"a": 1}
    assert client.busy == 2


async def test_a_degraded_answer_is_asked_for_again(monkeypatch) -> None:
    """The list is compared only once it is not degraded."""
    answers = [httpx.Response(200, json={"degraded": flag}) for flag in (True, True, False)]
    async with _client(monkeypatch, answers) as client:
        assert (await client._ranked({}))[0] == {"degraded": False}
    assert client.repeated == 2


async def test_a_service_that_stays_degraded_is_believed(monkeypatch) -> None:
    """After ten times the degraded answer is taken, so that it can be reported."""
    answers = [httpx.Response(200, json={"degraded": True}) for _ in range(10)]
    async with _client(monkeypatch, answers) as client:
        assert (await client._ranked({}))[0] == {"degraded": True}


async def test_a_refusal_is_one_sentence(monkeypatch) -> None:
    """Any other refusal ends the replay with the service's own words."""
    answers = [httpx.Response(422, json={"error": "top_k is 0"})]
    async with _client(monkeypatch, answers) as client:
        with pytest.raises(CommandError, match=r"GET /info was answered 422.*top_k is 0"):
            await client.info()
