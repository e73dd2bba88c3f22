"""The line in front of the item encoder."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from app.catalog.encoding_line import EncodingLine
from app.errors import Overloaded, ScoringFailed, ShuttingDown


class Encoder:
    """Encodes a text as its length; waits while it is held, fails on texts that say so."""

    def __init__(self):
        self.batches = []
        self.free = threading.Event()
        self.free.set()
        self.started = threading.Event()

    def encode(self, texts):
        """Return ``float32[N, 2]``."""
        self.started.set()
        self.free.wait(10)
        self.batches.append(list(texts))
        if "fail" in texts:
            raise ValueError("no")
        if "fail by name" in texts:
            raise ScoringFailed("the graph failed")
        vectors = np.array([[len(text), 1.0] for text in texts], np.float32)
        return vectors[:-1] if "drop" in texts else vectors


@pytest.fixture
def encoder():
    """Return an encoder that nobody holds."""
    return Encoder()


async def start(line, texts):
    """Start a call and let it join the line."""
    call = asyncio.create_task(line.encode(texts))
    await asyncio.sleep(0)
    return call


async def until_started(encoder):
    """Wait until the encoder has begun a batch."""
    await asyncio.to_thread(encoder.started.wait, 10)


async def test_every_caller_gets_its_own_vectors_in_order(encoder):
    """Concurrent calls of different sizes share batches and get their own."""
    async with EncodingLine(encoder, batch_texts=4) as line:
        calls = [[f"{'x' * (caller + part)}" for part in range(caller % 6)] for caller in range(1, 20)]
        found = await asyncio.gather(*(line.encode(texts) for texts in calls if texts))
    assert [vectors[:, 0].tolist() for vectors in found] == [[len(text) for text in texts] for texts in calls if texts]
    assert max(len(batch) for batch in encoder.batches) <= 4


async def test_what_waits_while_the_encoder_works_shares_its_next_run(encoder):
    """No time is waited for a batch to fill, and none is lost."""
    encoder.free.clear()
    async with EncodingLine(encoder) as line:
        first = await start(line, ["first"])
        await until_started(encoder)
        others = [await start(line, [f"text {number}"]) for number in range(5)]
        assert line.waiting_texts == 6
        encoder.free.set()
        await asyncio.gather(first, *others)
    assert [len(batch) for batch in encoder.batches] == [1, 5]


async def test_a_full_line_refuses_at_once(encoder):
    """A call that does not fit is refused and nothing of it is started; later there is room again."""
    encoder.free.clear()
    async with EncodingLine(encoder, longest_line=3) as line:
        first = await start(line, ["a", "b"])
        with pytest.raises(Overloaded, match="2 texts wait"):
            await line.encode(["c", "d"])
        fits = await start(line, ["c"])
        encoder.free.set()
        await asyncio.gather(first, fits)
        assert line.waiting_texts == 0
        await line.encode(["c", "d"])
    assert sorted(text for batch in encoder.batches for text in batch) == ["a", "b", "c", "c", "d"]


async def test_a_caller_that_left_is_not_encoded(encoder):
    """A call cancelled in line costs nothing and shifts nothing; one cancelled while encoding hurts nobody."""
    encoder.free.clear()
    async with EncodingLine(encoder, batch_texts=2) as line:
        encoding = await start(line, ["one"])
        await until_started(encoder)
        leaving, staying = await start(line, ["left", "left too"]), await start(line, ["three", "four!!"])
        encoding.cancel()
        leaving.cancel()
        await asyncio.gather(encoding, leaving, return_exceptions=True)
        encoder.free.set()
        assert (await staying)[:, 0].tolist() == [5, 6]
        assert line.waiting_texts == 0
    assert encoder.batches == [["one"], ["three", "four!!"]]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("fail", "failed with ValueError"), ("fail by name", "the graph failed"), ("drop", "made 1 vectors, expected 2")],
)
async def test_a_failure_reaches_its_batch_and_only_it(encoder, text, sentence):
    """Callers of the failed run hear of it; callers before and after get their vectors."""
    async with EncodingLine(encoder, batch_texts=2) as line:
        before = await start(line, ["before", "b"])
        failing = await start(line, [text, "x"])
        after = await start(line, ["after"])
        with pytest.raises(ScoringFailed, match=sentence):
            await failing
        assert (await before)[0, 0] == 6
        assert (await after)[0, 0] == 5


async def test_stopping_answers_everyone(encoder):
    """Calls in line and in the encoder end with `ShuttingDown`, and so does a late one."""
    encoder.free.clear()
    async with EncodingLine(encoder, batch_texts=1) as line:
        calls = [await start(line, [f"text {number}"]) for number in range(3)]
        await until_started(encoder)
    encoder.free.set()
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(outcome, ShuttingDown) for outcome in found)
    assert not line.alive
    with pytest.raises(ShuttingDown):
        await line.encode(["late"])


async def test_a_long_call_does_not_hold_up_a_short_one_for_ever(encoder):
    """Texts are encoded batch by batch, first come first served, and the event loop stays free."""
    async with EncodingLine(encoder, batch_texts=8, longest_line=1000) as line:
        long_call = await start(line, [f"text {number}" for number in range(100)])
        short_call = await start(line, ["short"])
        vectors, _ = await asyncio.gather(long_call, short_call)
    assert len(vectors) == 100
    assert max(len(batch) for batch in encoder.batches) == 8


async def test_what_was_encoded_for_a_caller_that_left_is_kept(encoder):
    """The run under way is handed to ``keep`` when it ends; texts that had not begun are not encoded."""
    kept = []
    encoder.free.clear()
    async with EncodingLine(encoder, batch_texts=2) as line:
        left = asyncio.create_task(line.encode(["a", "bb", "ccc"], keep=lambda texts, _: kept.append(texts)))
        await asyncio.sleep(0)
        await until_started(encoder)
        left.cancel()
        encoder.free.set()
        await line.encode(["last"])
    assert kept == [["a", "bb"]]
    assert encoder.batches == [["a", "bb"], ["last"]]


async def test_what_cannot_be_kept_is_told(encoder):
    """An error of ``keep`` reaches its caller, and the line goes on."""

    def keep(*_):
        raise Overloaded("no row is left")

    async with EncodingLine(encoder) as line:
        with pytest.raises(Overloaded, match="no row"):
            await line.encode(["a"], keep=keep)
        assert len(await line.encode(["b"])) == 1
