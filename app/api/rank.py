"""``POST /rank``: the way of one request through the service and back."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from msgspec import UNSET, UnsetType

from app.api.answers import HistoryUsed, RankAnswer, RankedItem
from app.api.client_watch import ClientWatch
from app.api.decoding import BodyDecoder
from app.api.rank_query import query_of, refuse_misspelt
from app.api.reply import Reply, json_reply
from app.api.request_ids import new_request_id
from app.api.schemas import ExactRankRequest, RankRequest
from app.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.api.body import Receive
    from app.api.limits import ApiLimits
    from app.api.serving import Laps, Observer, Service, Serving
    from app.ranking.query import Ranking, RankQuery


class RankEndpoint:
    """Answers rank requests; one for the life of the process."""

    def __init__(self, service: Service, observer: Observer, limits: ApiLimits) -> None:
        """Take the parts."""
        self._service = service
        self._observer = observer
        self._limits = limits
        self._exact: BodyDecoder[RankRequest] = BodyDecoder(ExactRankRequest)
        self._lenient: BodyDecoder[RankRequest] = BodyDecoder(RankRequest)

    async def __call__(self, body: bytes, receive: Receive, started_s: float, model: str | None = None) -> Reply:
        """Return the list as JSON.

        Args:
            body: The whole request body.
            receive: ASGI's, to notice that the client has left.
            started_s: `time.monotonic` when the request arrived.
            model: The path's model name.
        """
        serving = self._service.require()
        serving.require_model(model)
        # refused before a byte is parsed: a refusal must cost less than an answer
        serving.line.refuse_if_full()
        timer = self._observer.timer()
        request = self._decoded(body)
        query = query_of(
            request, limits=self._limits, actions=serving.actions, columns=serving.columns, started_s=started_s
        )
        timer.lap("parse")
        ranking = await self._rank(serving, query, timer, receive)
        took_s = time.monotonic() - started_s
        request_id = request.id or new_request_id()
        reply = json_reply(_answer(request_id, serving, ranking, took_s))
        timer.lap("write")
        self._observer.ranked(ranking, timer, took_s=took_s, request_id=request_id, user=query.user)
        reply.headers.append((b"server-timing", _server_timing(timer)))
        return reply

    def _decoded(self, body: bytes) -> RankRequest:
        """Read the body; only one with unknown members, or a wrong one, is read twice."""
        try:
            return self._exact.decode(body)
        except InvalidRequest:
            request = self._lenient.decode(body)
            refuse_misspelt(body)
            return request

    async def _rank(self, serving: Serving, query: RankQuery, timer: Laps, receive: Receive) -> Ranking:
        """Rank; under load, stop as soon as the client has left, so that its place goes to someone who waits."""
        if not serving.line.waiting:
            return await serving.ranking.rank(query, timer)
        watch = ClientWatch(receive)
        try:
            return await serving.ranking.rank(query, timer)
        except asyncio.CancelledError:
            watch.raise_if_gone()
            raise
        finally:
            watch.stop()


def _answer(request_id: str, serving: Serving, ranking: Ranking, took_s: float) -> RankAnswer:
    count = len(ranking.ids)
    positions: Sequence[int | UnsetType] = [UNSET] * count if ranking.positions is None else ranking.positions
    probabilities: Sequence[float | UnsetType | None] = (
        [UNSET] * count if ranking.probabilities is None else ranking.probabilities
    )
    items = [
        RankedItem(item, score, rank, index, probability)
        for item, score, rank, index, probability in zip(
            ranking.ids, ranking.scores, range(1, count + 1), positions, probabilities, strict=True
        )
    ]
    return RankAnswer(
        id=request_id,
        model=serving.name,
        version=serving.version,
        took=round(took_s * 1000.0, 3),
        items=items,
        degraded=ranking.degraded,
        reasons=ranking.reasons,
        history=HistoryUsed(ranking.history_used, ranking.newest_age_ms, ranking.history_source),
        unknown=ranking.unknown,
        scored_items=ranking.scored_items,
    )


def _server_timing(timer: Laps) -> bytes:
    return ", ".join([f"{stage};dur={spent:.3f}" for stage, spent in timer.durations_ms().items()]).encode()
