"""The shared connection of the rank path, against servers that misbehave on purpose."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from contextlib import asynccontextmanager

import pytest
import uvloop

from app.errors import StorageUnavailable
from app.storage.pipelined_reader import PipelinedReader


@asynccontextmanager
async def reader_of(answer, *, handshake=(), stalled_after_s=1.0):
    """Open a reader whose server calls ``answer(number of the chunk, writer)`` for each chunk that it gets."""
    writers = []

    async def serve(reader, writer):
        writers.append(writer)
        number = 0
        while await reader.read(65_536):
            await answer(number, writer)
            number += 1
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async def connect(protocol):
        return await asyncio.get_running_loop().create_connection(protocol, "127.0.0.1", port)

    pipelined = PipelinedReader(connect, handshake=handshake, stalled_after_s=stalled_after_s)
    pipelined.connections = writers
    try:
        yield pipelined
    finally:
        await pipelined.close()
        server.close()
        for writer in writers:
            writer.close()
            await writer.wait_closed()
        await server.wait_closed()


def saying(*chunks):
    """Return an answer that says one chunk after another, then repeats the last."""

    async def answer(number, writer):
        writer.write(chunks[min(number, len(chunks) - 1)])

    return answer


async def read(reader, *, timeout_s=2.0):
    """Read two keys."""
    return await reader.get_two(b"a", b"b", timeout_s=timeout_s)


async def test_two_values_come_back():
    """A value and a missing key are bytes and None."""
    async with reader_of(saying(b"*2\r\n$2\r\nab\r\n$-1\r\n")) as reader:
        assert await read(reader) == (b"ab", None)


async def test_a_reply_in_many_pieces_is_put_together():
    """Bytes that arrive one by one make one reply."""

    async def dribble(number, writer):
        del number
        for byte in b"*2\r\n$2\r\nab\r\n$2\r\ncd\r\n":
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)

    async with reader_of(dribble) as reader:
        assert await read(reader) == (b"ab", b"cd")


@pytest.mark.parametrize("nonsense", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00\xff\x00\xff\r\n"])
async def test_bytes_that_are_no_reply_end_the_connection(nonsense):
    """Something that is no Redis is an error, not an endless wait."""
    async with reader_of(saying(nonsense)) as reader:
        with pytest.raises(StorageUnavailable, match="no reply"):
            await read(reader)


@pytest.mark.parametrize("reply", [b"+OK\r\n", b"*1\r\n$1\r\na\r\n", b":1\r\n"])
async def test_a_reply_of_another_shape_is_an_error(reply):
    """A reply that is not two values is never taken for a history."""
    async with reader_of(saying(reply)) as reader:
        with pytest.raises(StorageUnavailable, match="another shape"):
            await read(reader)


async def test_an_error_reply_is_a_sentence_and_keeps_the_connection():
    """LOADING is named; the connection serves the next read."""
    async with reader_of(saying(b"-LOADING Redis is loading\r\n", b"*2\r\n$-1\r\n$-1\r\n")) as reader:
        with pytest.raises(StorageUnavailable, match="still loading"):
            await read(reader)
        assert await read(reader) == (None, None)
        assert len(reader.connections) == 1


async def test_more_replies_than_questions_end_the_connection():
    """A connection that is out of step is dropped, and the next read opens another."""
    async with reader_of(saying(b"*2\r\n$-1\r\n$-1\r\n*2\r\n$-1\r\n$-1\r\n")) as reader:
        assert await read(reader) == (None, None)
        assert await read(reader) == (None, None)
        assert len(reader.connections) == 2


async def test_reads_at_once_share_one_connection():
    """Concurrent first reads open one connection between them."""

    async def answer(number, writer):
        del number
        writer.write(b"*2\r\n$-1\r\n$-1\r\n" * 20)

    async with reader_of(answer) as reader:
        found = await asyncio.gather(*(read(reader) for _ in range(20)), return_exceptions=True)
        assert found == [(None, None)] * 20
        assert len(reader.connections) == 1


async def test_reads_of_one_turn_are_one_write():
    """Commands that are sent in the same turn of the event loop reach the server in one piece, in order."""
    chunks = []
    reply = b"*2\r\n$1\r\n%d\r\n$-1\r\n"

    async def serve(reader, writer):
        while chunk := await reader.read(65_536):
            chunks.append(chunk)
            writer.writelines([reply % number for number in range(chunk.count(b"MGET"))])
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async def connect(protocol):
        return await asyncio.get_running_loop().create_connection(protocol, "127.0.0.1", port)

    reader = PipelinedReader(connect, stalled_after_s=1.0)
    await read(reader)
    answers = await asyncio.gather(*[read(reader) for _ in range(3)])
    assert [first for first, _ in answers] == [b"0", b"1", b"2"]
    assert [chunk.count(b"MGET") for chunk in chunks] == [1, 3]
    await reader.close()
    server.close()
    await server.wait_closed()


async def test_a_late_reply_keeps_the_connection_until_it_counts_as_stalled():
    """A caller with less time than the stall limit leaves alone; the connection goes on for the others."""

    async def late(number, writer):
        if number == 0:
            await asyncio.sleep(0.05)
        writer.write(b"*2\r\n$1\r\n%d\r\n$-1\r\n" % number)

    async with reader_of(late, stalled_after_s=5.0) as reader:
        with pytest.raises(StorageUnavailable, match="in time"):
            await read(reader, timeout_s=0.01)
        assert await read(reader) == (b"1", None)
        assert len(reader.connections) == 1


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_loop_that_was_busy_does_not_blame_redis(new_loop):
    """A reply that lies in the socket when its time is up counts, whatever the event loop looks at first."""

    async def answered_while_busy():
        busy = threading.Event()
        loop = asyncio.get_running_loop()

        def serve(listening):
            connection, _ = listening.accept()
            with connection:
                connection.recv(1000)
                waker.send(b"x")
                busy.wait(5)
                connection.sendall(b"*2\r\n$-1\r\n$-1\r\n")
                connection.recv(1000)

        def keep_the_loop_busy():
            loop.remove_reader(woken)
            busy.set()
            time.sleep(1.0)

        waker, woken = socket.socketpair()
        loop.add_reader(woken, keep_the_loop_busy)
        with waker, woken, socket.create_server(("127.0.0.1", 0)) as listening:
            thread = threading.Thread(target=serve, args=(listening,))
            thread.start()

            async def connect(protocol):
                return await loop.create_connection(protocol, *listening.getsockname())

            reader = PipelinedReader(connect, stalled_after_s=0.5)
            found = await read(reader, timeout_s=0.5)
            await reader.close()
            thread.join()
            return found

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(answered_while_busy()) == (None, None)


async def test_a_stalled_connection_is_dropped_for_everyone():
    """When the oldest read has waited too long, all reads on that connection fail, and a new one is opened."""

    async def first_connection_is_mute(number, writer):
        del number
        if len(reader.connections) > 1:
            writer.write(b"*2\r\n$-1\r\n$-1\r\n")

    async with reader_of(first_connection_is_mute, stalled_after_s=0.02) as reader:
        found = await asyncio.gather(
            read(reader, timeout_s=0.03), *(read(reader, timeout_s=30.0) for _ in range(5)), return_exceptions=True
        )
        assert all(isinstance(outcome, StorageUnavailable) for outcome in found)
        assert await read(reader) == (None, None)


async def test_the_handshake_comes_before_the_first_read():
    """AUTH and SELECT are answered first; their failure is the read's failure."""
    handshake = (b"*2\r\n$4\r\nAUTH\r\n$1\r\nx\r\n",)
    async with reader_of(saying(b"+OK\r\n", b"*2\r\n$-1\r\n$-1\r\n"), handshake=handshake) as reader:
        assert await read(reader) == (None, None)
    async with reader_of(saying(b"-WRONGPASS no\r\n"), handshake=handshake) as reader:
        with pytest.raises(StorageUnavailable, match="refused the user name or password"):
            await read(reader)


async def test_a_connection_that_does_not_open_in_time_is_an_error():
    """The caller's time covers connecting too."""

    async def never(protocol):
        del protocol
        await asyncio.sleep(60)

    reader = PipelinedReader(never, stalled_after_s=1.0)
    with pytest.raises(StorageUnavailable, match="no connection in time"):
        await reader.get_two(b"a", b"b", timeout_s=0.01)
    await reader.close()


async def test_closing_answers_everyone():
    """Reads under way when the service stops end with `StorageUnavailable`."""

    async def mute(number, writer):
        del number, writer

    async with reader_of(mute) as reader:
        reads = [asyncio.create_task(read(reader)) for _ in range(3)]
        await asyncio.sleep(0.05)
        await reader.close()
        found = await asyncio.gather(*reads, return_exceptions=True)
    assert all(isinstance(outcome, StorageUnavailable) for outcome in found)
