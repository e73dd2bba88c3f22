"""``/health`` and ``/info``: what the process says of itself."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from app.api.answers import ErrorAnswer, LatencyAnswer, LiveAnswer, ReadyAnswer
from app.api.error_responses import error_reply
from app.api.reply import Reply, json_reply
from app.errors import NotReady, ShuttingDown
from app.ranking.budget import Budget
from app.ranking.query import RankQuery

if TYPE_CHECKING:
    from app.api.limits import ApiLimits
    from app.api.serving import Observer, Service

PROBE_USER: Final = "seqrank-latency-probe"
PROBE_BUDGET_S: Final = 5.0


def live(service: Service) -> Reply:
    """Say whether the process works: its event loop answers, and its model threads are alive and not stuck."""
    trouble = service.failure or (service.serving.trouble() if service.serving is not None else None)
    if trouble is None:
        return json_reply(LiveAnswer())
    return json_reply(ErrorAnswer(trouble, "stuck"), 503)


def ready(service: Service) -> Reply:
    """Say whether requests are answered; Redis being away makes them degraded, not unanswered."""
    try:
        serving = service.require()
    except (NotReady, ShuttingDown) as error:
        return error_reply(error)
    trouble = serving.trouble()
    if trouble is not None:
        return error_reply(NotReady(trouble))
    return json_reply(ReadyAnswer([*serving.degraded(), *service.also_degraded()], serving.provider))


class LatencyProbe:
    """Sends one canned request at a time through the real path; callers that come meanwhile share its answer."""

    def __init__(self, service: Service, observer: Observer, *, slo_ms: float) -> None:
        """Take the parts."""
        self._service = service
        self._observer = observer
        self._slo_ms = slo_ms
        self._under_way: asyncio.Task[Reply] | None = None

    async def __call__(self) -> Reply:
        """Return stage times and recent percentiles; 503 if the canned request or the recent p99 is past the SLO."""
        if self._under_way is None or self._under_way.done():
            self._under_way = asyncio.create_task(self._measure(), name="latency-probe")
        return await asyncio.shield(self._under_way)

    async def _measure(self) -> Reply:
        serving = self._service.require()
        timer = self._observer.timer()
        started_s = time.monotonic()
        query = RankQuery(
            budget=Budget(started_s, PROBE_BUDGET_S),
            now_ms=time.time_ns() // 1_000_000,
            user=PROBE_USER,
            item_ids=serving.canned_items,
        )
        ranking = await serving.ranking.rank(query, timer)
        took_ms = (time.monotonic() - started_s) * 1000.0
        recent = self._observer.recent_latency()
        within = max(took_ms, recent.get("p99_ms", 0.0)) <= self._slo_ms
        answer = LatencyAnswer(
            slo_ms=self._slo_ms,
            took_ms=round(took_ms, 3),
            stages_ms={stage: round(spent, 3) for stage, spent in timer.durations_ms().items()},
            recent=recent,
            within_slo=within,
            degraded=ranking.degraded,
        )
        return json_reply(answer, 200 if within else 503)


def info(service: Service, limits: ApiLimits) -> Reply:
    """Return the bundle, the provider and the limits."""
    return json_reply({**service.require().info(), "limits": limits})
