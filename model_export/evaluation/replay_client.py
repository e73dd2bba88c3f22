"""Plays questions through a live service over HTTP."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import quote

import httpx
import numpy as np

from model_export.errors import CommandError
from model_export.evaluation.replay_plan import events_of, place_of_answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.contract.tensors import FloatArray, Int64Array
    from model_export.evaluation.questions import Questions
    from model_export.evaluation.replay_plan import ReplayPlan

_EVENTS_A_CALL: Final = 500
_TIMEOUT_S: Final = 30.0
_ATTEMPTS: Final = 10
_PAUSE_S: Final = 0.2
_ATTEMPTS_WHEN_BUSY: Final = 100
_LONGEST_WAIT_S: Final = 5.0
_BUSY: Final = (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE)


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came back for T questions.

    Attributes:
        places_T: ``int64[T]``, the masked rank of each answer in its list.
        took_ms_T: ``float64[T]``, how long each rank request took, seen from here.
        degraded: How many answers were still degraded when asked repeatedly, by reason.
        repeated: How many degraded answers were asked for again.
        busy: How many requests were refused for the moment (429, 503) and sent again.
        seconds: Of the whole replay.
    """

    places_T: Int64Array
    took_ms_T: FloatArray
    degraded: dict[str, int]
    repeated: int
    busy: int
    seconds: float


class ReplayClient:
    """Talks to one service; every user of a replay lives under a name of its own and is deleted afterwards.

    Attributes:
        repeated: How many degraded answers were asked for again.
        busy: How many requests were refused for the moment and sent again.
    """

    def __init__(self, url: str, *, api_key: str | None = None, concurrency: int = 8) -> None:
        """Name the service.

        Args:
            url: For example ``http://127.0.0.1:8000``.
            api_key: Sent as a bearer token.
            concurrency: Requests under way at one time.
        """
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
        self._http = httpx.AsyncClient(base_url=url, headers=headers, limits=limits, timeout=_TIMEOUT_S)
        self._room = asyncio.Semaphore(concurrency)
        self.repeated = 0
        self.busy = 0
        self._namespace = f"replay-{token_hex(4)}"

    async def __aenter__(self) -> Self:
        """Open the connections."""
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def info(self) -> dict[str, Any]:
        """Return what the service says of its bundle.

        Raises:
            CommandError: If it cannot be reached or refuses.
        """
        found: dict[str, Any] = await self._call("GET", "/info")
        return found

    async def item(self, item_id: str) -> dict[str, Any] | None:
        """Return what the service knows of an item, None if it has none of that id.

        Raises:
            CommandError: If it cannot be reached or refuses.
        """
        found: dict[str, Any] | None = await self._call("GET", f"/items/{quote(item_id, safe='')}", or_missing=True)
        return found

    def user_name(self, number: int) -> str:
        """Return the name under which question ``number`` is played."""
        return f"{self._namespace}-{number}"

    async def replay(self, questions: Questions, plan: ReplayPlan, on_answer: Callable[[], object]) -> Replayed:
        """Ask all questions; call ``on_answer`` after each.

        Raises:
            CommandError: If a request fails; the users are deleted nevertheless.
        """
        started_s = time.monotonic()
        item_ids = questions.data.item_ids()
        row_of_id = {item_id: row for row, item_id in enumerate(item_ids, start=1)}
        places_T = np.zeros(len(questions), np.int64)
        took_ms_T = np.zeros(len(questions))
        degraded: dict[str, int] = {}

        async def play(number: int) -> None:
            async with self._room:
                answer, took_ms_T[number] = await self._one(questions, plan, number, item_ids)
            rows = np.array([row_of_id.get(place["item"], 0) for place in answer["items"]], np.int64)
            places_T[number] = place_of_answer(rows, questions, number)
            for reason in answer["reasons"] if answer["degraded"] else ():
                degraded[reason] = degraded.get(reason, 0) + 1
            on_answer()

        async with asyncio.TaskGroup() as group:
            for number in range(len(questions)):
                group.create_task(play(number))
        return Replayed(places_T, took_ms_T, degraded, self.repeated, self.busy, time.monotonic() - started_s)

    async def _one(
        self, questions: Questions, plan: ReplayPlan, number: int, item_ids: list[str]
    ) -> tuple[dict[str, Any], float]:
        """Feed one user's history, rank, and forget the user again; return the answer and its milliseconds."""
        user = self.user_name(number)
        events = [] if plan.inline_history else events_of(questions, number, item_ids)
        try:
            for start in range(0, len(events), _EVENTS_A_CALL):
                part = [
                    {"id": f"{user}:{place}", "user": user, **event}
                    for place, event in enumerate(events[start : start + _EVENTS_A_CALL], start)
                ]
                await self._call("POST", "/feedback", part)
            return await self._ranked(plan.rank_body(questions, number, user, item_ids))
        finally:
            if events:
                await self._call("DELETE", f"/users/{user}")

    async def _ranked(self, body: dict[str, Any]) -> tuple[dict[str, Any], float]:
        """Return the answer and its milliseconds; ask again where it is degraded, for the list itself is compared."""
        for _ in range(_ATTEMPTS):
            started_s = time.monotonic()
            answer = await self._call("POST", "/rank", body)
            took_ms = (time.monotonic() - started_s) * 1000.0
            if not answer["degraded"]:
                break
            self.repeated += 1
            await asyncio.sleep(_PAUSE_S)
        return answer, took_ms

    async def _call(self, method: str, path: str, body: object = None, *, or_missing: bool = False) -> Any:
        """Return the answer's JSON; wait and ask again where the service is too busy for the moment.

        With ``or_missing`` a 404 is None.
        """
        for _ in range(_ATTEMPTS_WHEN_BUSY):
            try:
                response = await self._http.request(method, path, json=body)
            except httpx.HTTPError as error:
                raise CommandError(f"{method} {path} got no answer: {type(error).__name__} {error}") from error
            if response.status_code not in _BUSY:
                break
            self.busy += 1
            await asyncio.sleep(_wait_s(response))
        if or_missing and response.status_code == httpx.codes.NOT_FOUND:
            return None
        if not response.is_success:
            raise CommandError(f"{method} {path} was answered {response.status_code}: {response.text[:300]}")
        return response.json()


def _wait_s(response: httpx.Response) -> float:
    """Return how long the service asks to wait, at most `_LONGEST_WAIT_S`."""
    asked = response.headers.get("retry-after", "")
    return min(float(asked) if asked.isdigit() else 1.0, _LONGEST_WAIT_S)
