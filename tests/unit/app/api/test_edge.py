"""Who is let in, with how much, how often."""

from __future__ import annotations

import pytest

from app.api.failures import BadKey, RateLimited
from app.api.keys import Access, KeyRing, key_in
from app.api.rate_limit import RateLimit
from tests.api_house import ApiHouse

RANK = {"user": "u", "items": ["i1"]}


def bearer(key):
    return {"authorization": f"Bearer {key}"}


async def test_without_keys_everything_is_open():
    """Empty means no auth."""
    async with ApiHouse(api_keys="") as house:
        assert (await house.rank(**RANK)).status_code == 200


async def test_a_key_is_needed_and_travels_in_either_header():
    """No or a bad key is 401 with a challenge; both headers carry good ones."""
    async with ApiHouse(api_keys="alpha, beta") as house:
        for headers in ({}, bearer("gamma"), {"x-api-key": "gamma"}, {"authorization": "Basic alpha"}):
            answer = await house.client.post("/rank", json=RANK, headers=headers)
            assert (answer.status_code, answer.json()["error_type"]) == (401, "unauthorized")
            assert answer.headers["www-authenticate"] == "Bearer"
            assert "gamma" not in answer.text
        for headers in (bearer("alpha"), {"x-api-key": "beta"}, {"authorization": "bearer beta"}):
            assert (await house.client.post("/rank", json=RANK, headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/health", "/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready", "/metrics", "/openapi.json"],
)
async def test_probes_are_never_behind_auth(path):
    """Probes, metrics and documentation need no key."""
    async with ApiHouse(api_keys="alpha", admin_keys="root") as house:
        assert (await house.client.get(path)).status_code == 200


async def test_one_kind_of_key_may_do_everything():
    """Without admin keys the API keys may change items and forget users."""
    async with ApiHouse(api_keys="alpha") as house:
        assert (await house.client.delete("/users/u", headers=bearer("alpha"))).status_code == 200
        assert (await house.client.delete("/users/u")).status_code == 401


async def test_admin_keys_are_a_scope_of_their_own():
    """With admin keys, a rank key is refused where something is changed, and an admin key may do both."""
    async with ApiHouse(api_keys="alpha", admin_keys="root") as house:
        refused = await house.client.put("/items", json=[], headers=bearer("alpha"))
        assert (refused.status_code, refused.json()["error_type"]) == (403, "forbidden")
        assert (await house.client.put("/items", json=[], headers=bearer("root"))).status_code == 200
        assert (await house.client.post("/rank", json=RANK, headers=bearer("root"))).status_code == 200


async def test_admin_keys_alone_leave_ranking_open():
    """Only what changes things needs a key then."""
    async with ApiHouse(admin_keys="root") as house:
        assert (await house.rank(**RANK)).status_code == 200
        assert (await house.client.delete("/users/u")).status_code == 401


class Uncomparable(bytes):
    """A key that must not be compared byte by byte until the first difference."""

    __hash__ = bytes.__hash__

    def __eq__(self, other):
        raise AssertionError(f"{other!r} was compared with ==, which takes longer the more is right")


def test_keys_are_compared_in_constant_time():
    """No comparison of a key ends at the first wrong byte."""
    ring = KeyRing(rank_keys=("alpha", "beta"), admin_keys=("gamma",))
    for key in (b"alpha", b"beta", b"gamma"):
        ring.check(Uncomparable(key), Access.RANK)
    with pytest.raises(BadKey):
        ring.check(Uncomparable(b"delta"), Access.RANK)


def test_the_bearer_goes_before_the_other_header():
    """Two keys: the bearer counts."""
    assert key_in(b"Bearer a", b"b") == b"a"
    assert key_in(b"Basic x", b"b") == b"b"
    assert key_in(None, None) is None


async def test_a_long_body_is_413_by_its_header_and_by_its_length():
    """A body is refused by its announced length, and counted while it arrives where none is announced."""

    async def chunks():
        for _ in range(100):
            yield b" " * 100

    async with ApiHouse(max_body_bytes=1024) as house:
        announced = await house.client.post("/rank", content=b" " * 2000)
        streamed = await house.client.post("/rank", content=chunks())
        framework = await house.client.put("/items", content=chunks())
        for answer in (announced, streamed, framework):
            assert (answer.status_code, answer.json()["error_type"]) == (413, "body_too_large")


async def test_a_body_in_pieces_is_read():
    """Chunked bodies within the limit are as good as whole ones."""

    async def pieces():
        for piece in (b'{"user": "u", ', b'"items": ["i1"]', b"}"):
            yield piece

    async with ApiHouse() as house:
        assert (await house.client.post("/rank", content=pieces())).status_code == 200


async def test_the_rate_limit_is_429_with_retry_after():
    """A caller past its rate is refused, told when to come back, and others are not touched; probes are free."""
    async with ApiHouse(api_keys="alpha,beta", rate_limit_per_s=0.5, rate_limit_burst=2) as house:
        statuses = [(await house.client.post("/rank", json=RANK, headers=bearer("alpha"))) for _ in range(3)]
        assert [answer.status_code for answer in statuses] == [200, 200, 429]
        assert (statuses[2].headers["retry-after"], statuses[2].json()["error_type"]) == ("2", "rate_limited")
        assert (await house.client.post("/rank", json=RANK, headers=bearer("beta"))).status_code == 200
        assert (await house.client.get("/health/live")).status_code == 200


async def test_without_keys_a_made_up_key_is_no_new_caller():
    """Where no key is asked for, callers are told apart by address: another header each time buys nothing."""
    async with ApiHouse(rate_limit_per_s=0.5, rate_limit_burst=2) as house:
        answers = [await house.client.post("/rank", json=RANK, headers=bearer(f"made-up-{n}")) for n in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]


def test_tokens_come_back_with_time():
    """A bucket fills at its rate and never beyond its size."""
    now = [0.0]
    limit = RateLimit(2.0, 1, clock=lambda: now[0])
    limit.take(b"a")
    with pytest.raises(RateLimited) as refused:
        limit.take(b"a")
    assert refused.value.retry_after_s == pytest.approx(0.5)
    now[0] = 100.0
    limit.take(b"a")
    with pytest.raises(RateLimited):
        limit.take(b"a")


def test_callers_are_forgotten_when_they_are_many(monkeypatch):
    """Memory stays bounded: those with full buckets are dropped."""
    monkeypatch.setattr("app.api.rate_limit.MOST_CALLERS", 3)
    now = [0.0]
    limit = RateLimit(1.0, 1, clock=lambda: now[0])
    for caller in (b"a", b"b", b"c"):
        limit.take(caller)
    now[0] = 10.0
    limit.take(b"d")
    assert set(limit._buckets) == {b"d"}


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/rank"), ("GET", "/health"), ("GET", "/nowhere"), ("GET", "/info")]
)
async def test_every_answer_has_the_security_headers(method, path):
    """Lists, probes, pages of the framework and errors alike: nothing is sniffed, framed, stored or told on."""
    async with ApiHouse() as house:
        headers = (await house.client.request(method, path, json=RANK if method == "POST" else None)).headers
        named = [headers.get(name) for name in ("x-content-type-options", "x-frame-options", "cache-control")]
        assert [*named, headers.get("referrer-policy")] == ["nosniff", "DENY", "no-store", "no-referrer"]


async def test_the_server_may_ask_for_a_refusal_before_a_task_is_made():
    """Only the hot routes are refused, only when the event loop is behind, and the refusal is like every other."""
    async with ApiHouse() as house:
        edge, refuse = house.application.asgi, house.application.refuse
        headers = [(b"x-request-id", b"mine")]
        assert refuse(b"POST", b"/rank", headers, 10_000) is None
        edge.admission.cost_s = 0.01
        refusal = refuse(b"POST", b"/rank", headers, 100)
        assert (refusal.status, dict(refusal.headers)[b"retry-after"]) == (429, b"1")
        assert dict(refusal.headers)[b"x-request-id"] == b"mine"
        assert b'"error_type":"overloaded"' in refusal.body
        assert refuse(b"POST", b"/rank", headers, 1) is None
        assert refuse(b"GET", b"/rank", headers, 100) is None
        assert refuse(b"POST", b"/health", headers, 100) is None
        assert refuse(b"POST", b"/rank/shop", headers, 100).status == 429
        counted = (await house.client.get("/metrics")).content
        assert b'route="/rank",status="429"} 1.0' in counted
        assert b'route="/rank/{model}",status="429"} 1.0' in counted


async def test_probes_answer_head():
    """Balancers that ask for the head alone are answered."""
    async with ApiHouse() as house:
        for path in ("", "/live", "/ready", "/latency"):
            assert (await house.client.head(f"/health{path}")).status_code == 200
        for path in ("/live", "/ready"):
            answer = await house.client.head(f"/v2/health{path}")
            assert answer.status_code == 200
