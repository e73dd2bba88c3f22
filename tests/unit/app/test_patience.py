"""No client keeps a connection, memory or an answer for ever, and none is cut off before it could read."""

from __future__ import annotations

import asyncio
import json

import pytest

from app import http_protocol
from app.api.edge import ONE_WRITE
from app.api.reply import Reply
from tests.unit.app.test_http_protocol import REQUEST, connected, settled

HEAD = b"POST /rank HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n"
OFFERS = [
    b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAEAAEAA\r\n\r\n",
    b"connection: upgrade\r\nupgrade: websocket\r\n\r\n",
]


def reader(bodies):
    """Return an application that answers when a body is whole, and puts it into ``bodies``."""

    async def app(scope, receive, send):  # noqa: ARG001 -- ASGI's shape
        body, message = b"", {"more_body": True}
        while message.get("more_body"):
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
        bodies.append(body)
        assert scope["extensions"][ONE_WRITE](200, [(b"content-length", b"0")], b"")

    return app


async def until_closed(wire):
    """Wait for the end of the connection."""
    async with asyncio.timeout(5):
        while not wire.closed:  # noqa: ASYNC110 -- a stand-in without events
            await asyncio.sleep(0.001)


def last_answer(wire):
    """Return status and error type of what was written last."""
    head, _, body = wire.writes[-1].partition(b"\r\n\r\n")
    assert b"connection: close" in head
    return int(head.split()[1]), json.loads(body)["error_type"]


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("body_comes_later", [False, True])
async def test_an_offer_of_another_protocol_is_passed_over(offer, body_comes_later):
    """The request is answered with its body read, however it arrives, and the connection stays for the next one."""
    bodies = []
    protocol, wire, state = connected(app=reader(bodies))
    request = REQUEST % b"" + HEAD + offer + b"he"
    cut = len(request) - 2 * body_comes_later
    protocol.data_received(request[:cut])
    protocol.data_received(request[cut:] + REQUEST % b"")
    await settled(state)
    assert bodies == [b"hi", b"he", b"hi"]
    assert [write[:12] for write in wire.writes] == [b"HTTP/1.1 200"] * 3
    assert not wire.closed
    protocol.connection_lost(None)


async def test_connect_is_no_request_of_ours():
    """What asks for a tunnel is refused, and nothing loops."""
    protocol, wire, _ = connected()
    protocol.data_received(b"CONNECT a:80 HTTP/1.1\r\nhost: a\r\n\r\n")
    assert last_answer(wire) == (400, "malformed")
    protocol.connection_lost(None)


@pytest.mark.parametrize("sent", [b"", b"\r\n"])
async def test_a_connection_on_which_nothing_comes_is_closed(sent):
    """A client that connects and says nothing is let go like one that says nothing more."""
    protocol, wire, _ = connected(timeout_keep_alive=0.01)
    if sent:
        protocol.data_received(sent)
    await until_closed(wire)
    assert wire.writes == []
    protocol.connection_lost(None)


async def test_a_connection_is_closed_when_nothing_follows_an_early_answer():
    """A body that comes after its request was refused does not keep the connection open for ever."""
    protocol, wire, _ = connected(lambda *_: Reply(b"no", 429), timeout_keep_alive=0.01)
    protocol.data_received(HEAD + b"\r\n")
    protocol.data_received(b"hi")
    await until_closed(wire)
    assert len(wire.writes) == 1
    protocol.connection_lost(None)


@pytest.mark.parametrize("sent", [b"POST /rank HT", HEAD, HEAD + b"\r\nh"])
async def test_a_request_that_does_not_arrive_is_408(monkeypatch, sent):
    """Whether it stops in its first line, its headers or its body, and however slowly it drips."""
    monkeypatch.setattr(http_protocol, "MOST_ARRIVAL_S", 0.05)
    protocol, wire, state = connected(app=reader([]))
    for place in range(len(sent)):
        protocol.data_received(sent[place : place + 1])
    await until_closed(wire)
    assert last_answer(wire) == (408, "slow_request")
    protocol.connection_lost(None)
    await settled(state)
    assert len(wire.writes) == 1


async def test_a_request_that_was_answered_early_is_only_closed(monkeypatch):
    """There is no second answer for a refused request whose body does not arrive."""
    monkeypatch.setattr(http_protocol, "MOST_ARRIVAL_S", 0.01)
    protocol, wire, _ = connected(lambda *_: Reply(b"no", 429))
    protocol.data_received(HEAD + b"\r\nh")
    await until_closed(wire)
    assert [write[:12] for write in wire.writes] == [b"HTTP/1.1 429"]
    protocol.connection_lost(None)


async def test_each_request_has_its_own_time_to_arrive(monkeypatch):
    """Packets that always end in the middle of the next request make nobody late."""
    monkeypatch.setattr(http_protocol, "MOST_ARRIVAL_S", 0.1)
    protocol, wire, state = connected()
    stream = (REQUEST % b"") * 12
    for start in range(0, len(stream), 64):
        protocol.data_received(stream[start : start + 64])
        await asyncio.sleep(0.02)
        assert not wire.closed
    await settled(state)
    assert len(wire.writes) == 12
    protocol.connection_lost(None)


@pytest.mark.parametrize("header", [b"x: y\r\n", b"", b"a"])
async def test_endless_headers_are_431(header):
    """Many headers, one that does not end, or a name that does not: the connection ends before memory does."""
    protocol, wire, _ = connected()
    protocol.data_received(b"GET / HTTP/1.1\r\n" + (b"" if header else b"x: "))
    for _ in range(40):
        protocol.data_received((header or b"y") * (8192 // len(header or b"y")))
        if wire.closed:
            break
    assert last_answer(wire) == (431, "headers_too_long")
    protocol.connection_lost(None)


async def test_headers_behind_a_body_are_not_kept():
    """Trailers that go on for ever fill no memory."""
    protocol, _, _ = connected()
    protocol.data_received(b"POST /rank HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n")
    for _ in range(100):
        protocol.data_received(b"x: y\r\n")
    assert len(protocol.cycle.scope["headers"]) == 2
    assert protocol.headers == []
    protocol.connection_lost(None)


async def test_a_client_that_never_reads_is_let_go(monkeypatch):
    """When no more can be written for so long the connection is cut; a client that reads in time is not."""
    monkeypatch.setattr(http_protocol, "MOST_UNREAD_S", 0.02)
    protocol, wire, _ = connected()
    protocol.pause_writing()
    protocol.resume_writing()
    await asyncio.sleep(0.05)
    assert not wire.aborted
    protocol.pause_writing()
    await until_closed(wire)
    assert wire.aborted
    protocol.connection_lost(None)


@pytest.mark.parametrize("is_refused", [False, True])
async def test_an_early_answer_is_followed_by_the_end_of_the_body_before_the_connection_is_closed(is_refused):
    """Closing with a body under way resets the connection, and a client that is still sending never sees its answer."""

    async def early(scope, receive, send):  # noqa: ARG001 -- ASGI's shape
        scope["extensions"][ONE_WRITE](413, [(b"content-length", b"0")], b"")

    protocol, wire, state = connected((lambda *_: Reply(b"", 429)) if is_refused else None, app=early)
    protocol.data_received(HEAD + b"connection: close\r\n\r\nh")
    await settled(state)
    assert wire.writes[0].startswith(b"HTTP/1.1 429" if is_refused else b"HTTP/1.1 413")
    assert not wire.closed
    protocol.data_received(b"i")
    assert wire.closed
    protocol.connection_lost(None)
