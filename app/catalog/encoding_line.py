"""The line in front of the item encoder: texts wait here, in batches, away from the rank path."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np

from app.errors import Overloaded, ScoringFailed, SeqrankError, ShuttingDown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.contract.tensors import Float32Array


class ItemEncoder(Protocol):
    """Turns texts into item vectors; called from one thread at a time."""

    def encode(self, texts: Sequence[str]) -> Float32Array:
        """Return ``float32[N, D]``, one vector a text, in order."""


@dataclass(slots=True)
class _Waiting:
    """One caller's texts, encoded from ``done`` on."""

    texts: list[str]
    future: asyncio.Future[Float32Array]
    keep: Callable[[list[str], Float32Array], None] | None = None
    vectors: list[Float32Array] = field(default_factory=list)
    done: int = 0


class EncodingLine:
    """Encodes texts in one thread, in batches, first come first served.

    Promise: every accepted call ends in exactly one of its vectors, `ScoringFailed`, `ShuttingDown` or its own
    cancellation. A failure reaches the callers of that batch only. A full line refuses at once with `Overloaded`. The
    event loop never waits for the encoder. A long call is cut into batches, so it holds the thread for one at a time.

    Args:
        encoder: Does the work.
        batch_texts: Texts of one run.
        longest_line: Texts that may wait, over all callers.
    """

    def __init__(self, encoder: ItemEncoder, *, batch_texts: int = 32, longest_line: int = 4096) -> None:
        self._encoder = encoder
        self._batch_texts = batch_texts
        self._longest_line = longest_line
        self._line: deque[_Waiting] = deque()
        self._waiting_texts = 0
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="item-encoder")
        self._worker: asyncio.Task[None] | None = None

    @property
    def waiting_texts(self) -> int:
        """Texts that are in the line or in the encoder."""
        return self._waiting_texts

    @property
    def alive(self) -> bool:
        """Whether somebody works the line."""
        return self._worker is not None and not self._worker.done()

    async def __aenter__(self) -> Self:
        self._worker = asyncio.create_task(self._work(), name="item-encoding-line")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._worker is not None:
            self._worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._worker
        for waiting in self._line:
            if not waiting.future.done():
                waiting.future.set_exception(ShuttingDown("the service is stopping: the text was not encoded"))
        self._line.clear()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def encode(
        self, texts: Sequence[str], *, keep: Callable[[list[str], Float32Array], None] | None = None
    ) -> Float32Array:
        """Return ``float32[N, D]``, one vector a text, in order.

        Args:
            texts: N texts.
            keep: Is given the texts of each run with their vectors, also those of a run that ends when the caller has
                left: who asks again goes on from there. What it raises is raised here.

        Raises:
            Overloaded: If the line is full. Nothing was started.
            ScoringFailed: If the encoder failed.
            ShuttingDown: If the service is stopping.
        """
        if not self.alive:
            raise ShuttingDown("the service is stopping: no text is encoded any more")
        if self._waiting_texts + len(texts) > self._longest_line:
            raise Overloaded(
                f"{self._waiting_texts} texts wait for the item encoder, expected at most {self._longest_line} with "
                f"the {len(texts)} new ones"
            )
        waiting = _Waiting(list(texts), asyncio.get_running_loop().create_future(), keep)
        self._line.append(waiting)
        self._waiting_texts += len(waiting.texts)
        self._arrived.set()
        try:
            return await waiting.future
        finally:
            self._waiting_texts -= len(waiting.texts)

    async def _work(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._line:
                parts = self._next_parts()
                if parts:
                    await self._run(parts)

    def _next_parts(self) -> list[tuple[_Waiting, list[str]]]:
        """Take texts for one run off the line; callers who left are skipped."""
        parts: list[tuple[_Waiting, list[str]]] = []
        room = self._batch_texts
        while self._line and room:
            waiting = self._line[0]
            if waiting.future.done():
                self._line.popleft()
                continue
            part = waiting.texts[waiting.done : waiting.done + room]
            waiting.done += len(part)
            room -= len(part)
            parts.append((waiting, part))
            if waiting.done == len(waiting.texts):
                self._line.popleft()
        return parts

    async def _run(self, parts: list[tuple[_Waiting, list[str]]]) -> None:
        texts = [text for _, part in parts for text in part]
        try:
            vectors = await asyncio.get_running_loop().run_in_executor(self._thread, self._encoder.encode, texts)
        except asyncio.CancelledError:
            _fail(parts, ShuttingDown("the service is stopping: the text was not encoded"))
            raise
        except SeqrankError as error:
            _fail(parts, error)
            return
        except Exception as error:  # noqa: BLE001 -- whatever the encoder raises, its callers must hear of it
            failure = ScoringFailed(f"the item encoder failed with {type(error).__name__}")
            failure.__cause__ = error
            _fail(parts, failure)
            return
        if len(vectors) != len(texts):
            _fail(parts, ScoringFailed(f"the item encoder made {len(vectors)} vectors, expected {len(texts)}"))
            return
        start = 0
        for waiting, part in parts:
            waiting.vectors.append(vectors[start : start + len(part)])
            start += len(part)
            if waiting.keep is not None:
                try:
                    waiting.keep(part, waiting.vectors[-1])
                except SeqrankError as error:
                    _fail([(waiting, part)], error)
            if waiting.done == len(waiting.texts) and not waiting.future.done():
                waiting.future.set_result(np.concatenate(waiting.vectors))


def _fail(parts: list[tuple[_Waiting, list[str]]], error: SeqrankError) -> None:
    for waiting, _ in parts:
        if not waiting.future.done():
            waiting.future.set_exception(error)
