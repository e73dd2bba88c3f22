"""Puts the routes together."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import FastAPI, Path, Request
from starlette.responses import Response

from app.api import docs_page, error_responses, id_in_path, items, openapi, probes, users
from app.api.admission import BUDGET_SHARE, Admission
from app.api.edge import Edge, Lane
from app.api.feedback import FeedbackEndpoint
from app.api.id_in_path import sound_id
from app.api.openapi import NEEDS_NO_KEY, answers_of, body_of, schema_ref
from app.api.rank import RankEndpoint
from app.api.schemas import MAX_ID_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Lifespan

    from app.api.keys import KeyRing
    from app.api.limits import ApiLimits
    from app.api.rate_limit import RateLimit
    from app.api.serving import Observer, Service

IdInPath = Annotated[str, Path(min_length=1, max_length=MAX_ID_CHARACTERS)]
_EVERY: Final = (401, 413, 429, 503)
"""Statuses that every route may answer with, probes left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guards:
    """Who is let in.

    Attributes:
        keys: Who may do what.
        rate_limit: None for no limit.
    """

    keys: KeyRing
    rate_limit: RateLimit | None = None


def build_application(
    *,
    service: Service,
    observer: Observer,
    limits: ApiLimits,
    guards: Guards,
    version: str,
    lifespan: Lifespan[FastAPI] | None = None,
) -> Edge:
    """Return the edge, with the framework's application inside; the edge is what a server serves."""
    app = _framework(version, lifespan, max_items=limits.max_items)
    rank = RankEndpoint(service, observer, limits)
    feedback = FeedbackEndpoint(service, observer, max_events=limits.max_items)
    _add_rank(app, rank)
    _add_feedback(app, feedback)
    _add_users(app, service)
    _add_items(app, service, limits)
    _add_probes(app, service, observer, limits)
    return Edge(
        app=app,
        lane_of=_lanes(rank, feedback),
        service=service,
        observer=observer,
        keys=guards.keys,
        rate_limit=guards.rate_limit,
        max_body_bytes=limits.max_body_bytes,
        admission=Admission(limits.timeout_ms / 1000.0 * BUDGET_SHARE),
    )


def _lanes(rank: RankEndpoint, feedback: FeedbackEndpoint) -> Callable[[str], Lane | None]:
    """Return what knows the lane of a path."""
    lanes = {
        "/rank": Lane("/rank", rank),
        "/feedback": Lane("/feedback", feedback),
        "/events": Lane("/events", feedback),
    }

    def lane_of(path: str) -> Lane | None:
        before, _, name = path.rpartition("/")
        if before == "/rank" and name:
            return Lane("/rank/{model}", partial(rank, model=name))
        return lanes.get(path)

    return lane_of


def _framework(version: str, lifespan: Lifespan[FastAPI] | None, *, max_items: int) -> FastAPI:
    app = FastAPI(
        title="Seqrank",
        version=version,
        description="Ranks candidates for a user who has just done something.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        # an empty answer that names another path is no error in JSON
        redirect_slashes=False,
    )
    id_in_path.install()
    error_responses.install(app)
    openapi.install(app, max_items=max_items)
    docs_page.install(app)
    return app


def _add_rank(app: FastAPI, rank: RankEndpoint) -> None:
    documented: dict[str, Any] = {
        "openapi_extra": body_of("RankRequest"),
        "responses": answers_of("RankAnswer", *_EVERY, 400, 404, 422, 504, ok="The list."),
        "tags": ["ranking"],
    }

    @app.post("/rank", summary="Rank candidates for a user", **documented)
    async def rank_default(request: Request) -> Response:
        return (await rank(await request.body(), request.receive, time.monotonic())).as_response()

    @app.post("/rank/{model}", summary="The same, with the model named", **documented)
    async def rank_named(request: Request, model: str) -> Response:
        return (await rank(await request.body(), request.receive, time.monotonic(), model)).as_response()


def _add_feedback(app: FastAPI, feedback: FeedbackEndpoint) -> None:
    documented: dict[str, Any] = {
        "openapi_extra": body_of("FeedbackEvent", or_many=True),
        "responses": answers_of("FeedbackAnswer", *_EVERY, 400, 422, ok="The events are stored."),
        "tags": ["behaviour"],
    }

    @app.post("/events", summary="The same as /feedback", **documented)
    @app.post("/feedback", summary="Store one event or an array of events", **documented)
    async def feed(request: Request) -> Response:
        return (await feedback(await request.body(), request.receive, time.monotonic())).as_response()


def _add_users(app: FastAPI, service: Service) -> None:
    @app.get("/users/{user:id}", summary="Recent behaviour, newest first", tags=["behaviour"],
             responses=answers_of("UserAnswer", *_EVERY, 422))  # fmt: skip
    async def show_user(request: Request, user: IdInPath) -> Response:
        return (await users.show_user(service, sound_id(request.scope, user))).as_response()

    @app.delete("/users/{user:id}", summary="Forget the user everywhere", tags=["behaviour"],
                responses=answers_of("RemovedAnswer", *_EVERY, 403, 422))  # fmt: skip
    async def forget_user(request: Request, user: IdInPath) -> Response:
        return (await users.forget_user(service, sound_id(request.scope, user))).as_response()


def _add_items(app: FastAPI, service: Service, limits: ApiLimits) -> None:
    @app.put("/items", summary="Add or change items by their text", tags=["items"],
             openapi_extra=body_of("ItemChange", or_many=True),
             responses=answers_of("ItemsAnswer", *_EVERY, 400, 403, 422))  # fmt: skip
    async def put_items(request: Request) -> Response:
        started_s = time.monotonic()
        body = await request.body()
        return (await items.put_items(service, body, started_s, max_items=limits.max_items)).as_response()

    @app.get("/items/{item:id}", summary="What is known of an item", tags=["items"],
             responses=answers_of("ItemAnswer", *_EVERY, 404, 422))  # fmt: skip
    async def show_item(request: Request, item: IdInPath) -> Response:
        return (await items.show_item(service, sound_id(request.scope, item))).as_response()

    @app.delete("/items/{item:id}", summary="Delete an item", tags=["items"],
                responses=answers_of("RemovedAnswer", *_EVERY, 403, 404, 422))  # fmt: skip
    async def delete_item(request: Request, item: IdInPath) -> Response:
        return (await items.delete_item(service, sound_id(request.scope, item))).as_response()


def _add_probes(app: FastAPI, service: Service, observer: Observer, limits: ApiLimits) -> None:
    latency_probe = probes.LatencyProbe(service, observer, slo_ms=limits.latency_slo_ms)

    async def live() -> Response:
        return probes.live(service).as_response()

    async def ready() -> Response:
        return probes.ready(service).as_response()

    probe: dict[str, Any] = {"methods": ["GET"], "tags": ["probes"], "openapi_extra": NEEDS_NO_KEY}
    for path in ("/health/live", "/v2/health/live"):
        app.add_api_route(path, live, responses=_probe_answers("LiveAnswer"), summary="Does the process work?", **probe)
        app.add_api_route(path, live, methods=["HEAD"], include_in_schema=False)
    for path in ("/health", "/health/ready", "/v2/health/ready"):
        app.add_api_route(path, ready, responses=_probe_answers("ReadyAnswer"), summary="Are requests answered?",
                          **probe)  # fmt: skip
        app.add_api_route(path, ready, methods=["HEAD"], include_in_schema=False)

    @app.get("/health/latency", summary="Is it fast enough?", tags=["probes"], openapi_extra=NEEDS_NO_KEY, responses={
        **answers_of("LatencyAnswer", 429),
        503: {"description": "Past the objective, or not ready.", "content": {"application/json": {"schema": {
            "anyOf": [schema_ref("LatencyAnswer"), schema_ref("ErrorAnswer")]}}}}})  # fmt: skip
    async def latency() -> Response:
        return (await latency_probe()).as_response()

    app.add_api_route("/health/latency", latency, methods=["HEAD"], include_in_schema=False)

    @app.get("/info", summary="Bundle, provider and limits", tags=["probes"], responses=answers_of(None, *_EVERY))
    async def info() -> Response:
        return probes.info(service, limits).as_response()

    @app.get("/metrics", summary="Prometheus text", tags=["probes"], openapi_extra=NEEDS_NO_KEY,
             responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
             response_class=Response)  # fmt: skip
    async def metrics() -> Response:
        return Response(observer.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _probe_answers(name: str) -> dict[int | str, dict[str, Any]]:
    return answers_of(name, 503)
