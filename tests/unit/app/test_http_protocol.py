"""Answers leave in one piece, and a refusal needs no task."""

from __future__ import annotations

import asyncio
import json

import pytest
import uvicorn
from uvicorn.server import ServerState

from app.api.edge import ONE_WRITE
from app.api.reply import Reply
from app.http_protocol import ShortProtocol

REQUEST = b"POST /rank HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n%b\r\nhi"
HEADERS = [(b"content-length", b"4")]


class Wire(asyncio.Transport):
    """Remembers what was written."""

    def __init__(self):
        super().__init__()
        self.writes = []
        self.closed = self.aborted = False

    def write(self, data):
        """Remember."""
        self.writes.append(bytes(data))

    def close(self):
        """Remember."""
        self.closed = True

    def abort(self):
        """Remember."""
        self.closed = self.aborted = True

    def is_closing(self):
        """Tell."""
        return self.closed

    def pause_reading(self):
        """Do nothing."""

    def resume_reading(self):
        """Do nothing."""


async def at_once(scope, receive, send):
    """Answer by the extension where it can be, else by ASGI."""
    await receive()
    if not scope["extensions"][ONE_WRITE](200, HEADERS, b"done"):
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        await send({"type": "http.response.body", "body": b"done"})


def connected(refuse=None, app=at_once, **options):
    """Return a protocol of an application with its wire."""
    config = uvicorn.Config(app, http=ShortProtocol, lifespan="off", log_config=None, **options)
    config.load()
    state = ServerState()
    protocol, wire = ShortProtocol(config, state, {}, refuse=refuse), Wire()
    protocol.connection_made(wire)
    return protocol, wire, state


async def settled(state):
    """Wait for every task of the server."""
    while state.tasks:
        await asyncio.gather(*state.tasks)


async def test_what_is_no_http_is_answered_like_every_other_mistake():
    """A sentence and its kind as JSON, with the headers that all answers have; then the connection ends."""
    protocol, wire, _ = connected()
    protocol.data_received(b"FOO\x00 bar\r\n\r\n")
    head, _, body = b"".join(wire.writes).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n")
    assert b"x-content-type-options: nosniff" in head
    assert json.loads(body)["error_type"] == "malformed"
    assert wire.closed
    protocol.connection_lost(None)


async def test_a_path_that_is_not_percent_encoded_is_told_so():
    """What curl sends for a URL with an accent in it is 400, and the sentence says what is wrong with it."""
    protocol, wire, _ = connected()
    protocol.data_received("GET /users/José HTTP/1.1\r\nhost: a\r\n\r\n".encode())
    head, _, body = b"".join(wire.writes).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert "percent-encoded" in json.loads(body)["error"]
    protocol.connection_lost(None)


@pytest.mark.parametrize("piece", [1 << 20, 8192])
async def test_a_path_that_is_too_long_is_told_so(piece):
    """It is 414 with the limit, whether it comes at once or in pieces, and before its end is there."""
    protocol, wire, _ = connected()
    sent = b"GET /items/" + b"a" * 70_000
    for start in range(0, len(sent), piece):
        protocol.data_received(sent[start : start + piece])
    head, _, body = b"".join(wire.writes).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 414 ")
    assert b"x-content-type-options: nosniff" in head
    assert json.loads(body)["error_type"] == "uri_too_long"
    assert "longer than 65535 bytes" in json.loads(body)["error"]
    assert wire.closed
    protocol.connection_lost(None)


async def test_the_longest_path_is_answered():
    """65,535 bytes of path and query are taken."""
    protocol, wire, state = connected()
    protocol.data_received(b"GET /" + b"a" * 65_534 + b" HTTP/1.1\r\nhost: a\r\n\r\n")
    await settled(state)
    assert wire.writes[0].startswith(b"HTTP/1.1 200 OK\r\n")
    protocol.connection_lost(None)


async def test_head_and_body_are_one_write():
    """One request, one write, and the connection stays for the next one."""
    protocol, wire, state = connected()
    for _ in range(2):
        protocol.data_received(REQUEST % b"")
        await settled(state)
    assert len(wire.writes) == 2
    assert wire.writes[0].startswith(b"HTTP/1.1 200 OK\r\n")
    assert wire.writes[0].endswith(b"content-length: 4\r\n\r\ndone")
    assert not wire.closed
    protocol.connection_lost(None)


async def test_a_client_that_wants_to_close_is_told_and_closed():
    """Without keep-alive the answer says so and the transport is closed."""
    protocol, wire, state = connected()
    protocol.data_received(REQUEST % b"connection: close\r\n")
    await settled(state)
    assert b"\r\nconnection: close\r\n\r\ndone" in wire.writes[0]
    assert wire.closed
    protocol.connection_lost(None)


async def test_a_client_that_does_not_read_is_waited_for():
    """While the transport's buffer is full the way of ASGI is taken, which waits."""
    protocol, wire, state = connected()
    protocol.pause_writing()
    protocol.data_received(REQUEST % b"")
    await asyncio.sleep(0.01)
    assert wire.writes == []
    protocol.resume_writing()
    await settled(state)
    assert b"".join(wire.writes).endswith(b"\r\n\r\ndone")
    protocol.connection_lost(None)


@pytest.mark.parametrize("body_comes_later", [False, True])
async def test_a_refusal_needs_no_task_and_leaves_the_connection_usable(body_comes_later):
    """The refusal is written at once; the rest of its body is skipped and the next request is answered."""
    answers = [Reply(b"no", 429), None]
    protocol, wire, state = connected(lambda *_: answers.pop(0))
    request = REQUEST % b""
    cut = len(request) - 2 * body_comes_later
    protocol.data_received(request[:cut])
    assert not state.tasks
    assert wire.writes[0].startswith(b"HTTP/1.1 429")
    protocol.data_received(request[cut:] + request)
    await settled(state)
    assert wire.writes[1].endswith(b"done")
    protocol.connection_lost(None)


async def test_a_refusal_waits_for_the_answers_before_it():
    """Of two requests in one packet the second is not refused before the first one's answer; its task decides."""
    answers = [None, Reply(b"no", 429)]
    protocol, wire, state = connected(lambda *_: answers.pop(0))
    protocol.data_received(REQUEST % b"" * 2)
    await settled(state)
    assert [write[:12] for write in wire.writes] == [b"HTTP/1.1 200", b"HTTP/1.1 200"]
    assert len(answers) == 1
    protocol.connection_lost(None)


async def test_a_refused_client_that_wants_to_close_is_told_and_closed():
    """A refusal ends the connection where its request says so, with HTTP/1.0 always."""
    for request in (REQUEST % b"connection: close\r\n", (REQUEST % b"").replace(b"1.1", b"1.0")):
        protocol, wire, _ = connected(lambda *_: Reply(b"no", 429))
        protocol.data_received(request)
        assert wire.writes[0].endswith(b"\r\nconnection: close\r\n\r\nno")
        assert wire.closed
        protocol.connection_lost(None)


async def test_the_server_is_asked_with_what_was_sent():
    """Method, target, headers with lower-case names, and how many are under way."""
    asked = []
    protocol, _, state = connected(lambda *request: asked.append(request))
    protocol.data_received(b"POST /rank?a=1 HTTP/1.1\r\nHost: a\r\ncontent-length: 2\r\n\r\nhi")
    await settled(state)
    assert asked == [(b"POST", b"/rank?a=1", [(b"host", b"a"), (b"content-length", b"2")], 0)]
    protocol.connection_lost(None)


async def test_a_connection_that_is_to_end_gets_one_more_answer():
    """An idle connection stays for one request, whose answer says close; one that is being answered ends with that."""
    for is_idle in (True, False):
        protocol, wire, state = connected()
        protocol.data_received(REQUEST % b"")
        if is_idle:
            await settled(state)
        protocol.leave()
        assert not wire.closed
        if is_idle:
            protocol.data_received(REQUEST % b"")
        await settled(state)
        assert [b"connection: close" in write for write in wire.writes] == [False] * is_idle + [True]
        assert wire.closed
        protocol.connection_lost(None)


async def test_a_refusal_on_a_connection_that_is_to_end_ends_it():
    """A refused request's answer is the last one too."""
    protocol, wire, _ = connected(lambda *_: Reply(b"no", 429))
    protocol.leave()
    protocol.data_received(REQUEST % b"")
    assert wire.writes[0].endswith(b"\r\nconnection: close\r\n\r\nno")
    assert wire.closed
    protocol.connection_lost(None)
