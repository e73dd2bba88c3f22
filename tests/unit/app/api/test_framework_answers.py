"""What the framework would answer by itself is like every other answer."""

from __future__ import annotations

import pytest

from app.api.edge import access_of
from app.api.keys import Access
from tests.api_house import ApiHouse


@pytest.fixture
async def house():
    async with ApiHouse() as opened:
        yield opened


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/rank/"), ("GET", "/users"), ("GET", "/health/"), ("PUT", "/items/")]
)
async def test_a_path_with_another_slash_is_an_error_like_every_other(house, method, path):
    """Nobody is sent elsewhere by an empty answer."""
    answer = await house.client.request(method, path, json={})
    assert answer.status_code in (404, 405)
    assert set(answer.json()) == {"error", "error_type"}
    assert path in answer.json()["error"]


async def test_the_page_of_the_documentation_says_where_else_it_is(house):
    """Where Swagger UI cannot be loaded, what stands in its place leads to the document."""
    page = (await house.client.get("/docs")).text
    _, _, place = page.partition('<div id="swagger-ui">')
    shown, _, _ = place.partition("</div>")
    assert 'href="openapi.json"' in shown
    assert "could not be loaded" in shown
    assert "url: 'openapi.json'" in page


async def test_the_example_of_every_body_is_taken_as_it_is(house):
    """Who opens Swagger UI and presses *Execute* gets an answer, not a 422 for a body that says nothing."""
    paths = (await house.client.get("/openapi.json")).json()["paths"]
    tried = {}
    for path, operations in paths.items():
        for method, operation in operations.items():
            if "requestBody" in operation:
                body = operation["requestBody"]["content"]["application/json"]["example"]
                answer = await house.client.request(method, path.format(model="shop"), json=body)
                tried[path] = answer.status_code
    assert tried == dict.fromkeys(["/rank", "/rank/{model}", "/feedback", "/events", "/items"], 200)


async def test_the_document_asks_for_a_key_where_the_service_does(house):
    """Probes and metrics have no lock; everything else has one."""
    paths = (await house.client.get("/openapi.json")).json()["paths"]
    open_paths = {path for path, operations in paths.items() if operations.get("get", {}).get("security") == []}
    assert open_paths == {path for path in paths if access_of("GET", path) is Access.OPEN}
