"""No body, however strange, gets anything but a documented answer."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.api_house import ApiHouse

RANK_STATUSES = {200, 400, 404, 422}
VALID = [
    {"user": "u", "items": ["i1", {"id": "i2", "text": "red"}, "x"], "top_k": 3, "exclude_seen": True, "seed": 1},
    {"history": [{"item": "i3", "action": "cart", "timestamp": "17"}], "diversity": 0.3, "max_per": {"parity": 1}},
    {"user": "u", "objective": {"click": 0.5}, "strategy": "sample", "temperature": 0.5, "timeout_ms": 500},
]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
FIELDS = sorted({name for body in VALID for name in body} | {"id", "timestamp", "strict", "top_n", "diversity_method"})


@st.composite
def changed_bodies(draw):
    """A valid body with some fields replaced by anything."""
    body = dict(draw(st.sampled_from(VALID)))
    for name in draw(st.lists(st.sampled_from(FIELDS), max_size=3)):
        body[name] = draw(ANYTHING)
    return json.dumps(body).encode()


@st.composite
def damaged_bytes(draw):
    """A valid body with some bytes replaced, cut or doubled."""
    body = bytearray(json.dumps(draw(st.sampled_from(VALID))).encode())
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(body)))
        body[start : start + draw(st.integers(0, 5))] = draw(st.binary(max_size=5))
    return bytes(body)


@pytest.fixture(scope="module")
def ask():
    """Return a function that sends bytes to a path of one application."""
    loop = asyncio.new_event_loop()
    house = ApiHouse()
    loop.run_until_complete(house.__aenter__())
    yield lambda path, body: loop.run_until_complete(house.client.post(path, content=body))
    loop.run_until_complete(house.__aexit__(None, None, None))
    loop.close()


def check(answer):
    assert answer.status_code in RANK_STATUSES, answer.text
    content = answer.json()
    if answer.status_code != 200:
        assert set(content) == {"error", "error_type"}
        assert content["error"]
    elif "items" in content:
        assert [item["rank"] for item in content["items"]] == list(range(1, len(content["items"]) + 1))


@settings(max_examples=300, deadline=None)
@given(body=changed_bodies() | damaged_bytes() | st.binary(max_size=50))
def test_rank_answers_every_body(ask, body):
    """A rank request of any bytes is answered with a list or a named mistake."""
    check(ask("/rank", body))


EVENT = {"user": "u", "item": "i1", "action": "cart", "timestamp": "5", "id": "e"}


@settings(max_examples=200, deadline=None)
@given(
    body=st.dictionaries(st.sampled_from(sorted(EVENT)), ANYTHING, max_size=3).map(lambda part: {**EVENT, **part})
    | st.lists(st.just(EVENT) | ANYTHING, max_size=3)
    | ANYTHING
)
def test_feedback_answers_every_body(ask, body):
    """Feedback of any JSON is stored or refused by name."""
    check(ask("/feedback", json.dumps(body).encode()))
