"""Browsers of the named origins read answers, and those of no others."""

from __future__ import annotations

import pytest

from app.api.edge import ONE_WRITE
from tests.api_house import ApiHouse

ORIGIN = {"origin": "https://shop.example"}


async def test_browsers_of_other_sites_are_not_invited_unless_set():
    """CORS headers come for the origins of the setting only."""
    async with ApiHouse() as house:
        assert "access-control-allow-origin" not in (await house.client.get("/health", headers=ORIGIN)).headers
    async with ApiHouse(cors_origins="https://shop.example", api_keys="alpha") as house:
        answer = await house.client.get("/health", headers=ORIGIN)
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"
        preflight = await house.client.options("/rank", headers={**ORIGIN, "access-control-request-method": "POST"})
        assert preflight.status_code == 200


async def test_with_cors_no_answer_is_written_past_the_layer_that_adds_its_headers():
    """A list that the server could write at once is sent through the layer, else no browser would hand it over."""
    async with ApiHouse(cors_origins="https://shop.example") as house:
        sent = []

        async def receive():
            return {"type": "http.request", "body": b'{"user": "u", "items": ["i1"]}'}

        async def send(message):
            sent.append(message)

        scope = {
            "type": "http", "method": "POST", "path": "/rank", "headers": [(b"origin", b"https://shop.example")],
            "extensions": {ONE_WRITE: lambda *_: pytest.fail("written past the layer")},
        }  # fmt: skip
        await house.application.asgi(scope, receive, send)
    headers = dict(sent[0]["headers"])
    assert headers[b"access-control-allow-origin"] == b"https://shop.example"
    assert b"Retry-After" in headers[b"access-control-expose-headers"]


async def test_with_cors_every_answer_passes_the_layer_that_adds_its_headers():
    """A browser could not read a refusal without them."""
    async with ApiHouse(cors_origins="https://shop.example") as house:
        assert house.application.refuse is None


@pytest.mark.parametrize(
    ("origin", "method", "sentence"),
    [
        ("https://evil.example", "POST", "the origin 'https://evil.example' is none of those"),
        ("https://shop.example", "PATCH", "the method 'PATCH' is not taken, expected one of GET, HEAD, POST"),
    ],
)
async def test_a_refused_preflight_is_json(origin, method, sentence):
    """A preflight that is refused is an error as every other one: a sentence and its kind."""
    async with ApiHouse(cors_origins="https://shop.example") as house:
        headers = {"origin": origin, "access-control-request-method": method}
        answer = await house.client.options("/rank", headers=headers)
    assert (answer.status_code, answer.json()["error_type"]) == (400, "cors")
    assert answer.json()["error"].startswith(sentence)
    allowed = answer.headers.get("access-control-allow-origin")
    assert allowed == ("https://shop.example" if origin == "https://shop.example" else None)


@pytest.mark.parametrize("origin", ["https://shop.example", "https://evil.example"])
async def test_a_preflight_has_the_headers_of_every_answer(origin):
    """Granted or refused, it is not sniffed, framed or stored, has an id, and offers only methods that there are."""
    async with ApiHouse(cors_origins="https://shop.example") as house:
        headers = {"origin": origin, "access-control-request-method": "PUT"}
        given = (await house.client.options("/items", headers=headers)).headers
    named = [given[name] for name in ("x-content-type-options", "x-frame-options", "cache-control", "referrer-policy")]
    assert named == ["nosniff", "DENY", "no-store", "no-referrer"]
    assert given["x-request-id"]
    assert given["access-control-allow-methods"] == "GET, HEAD, POST, PUT, DELETE"
