"""The composition root: settings in, application out."""

from __future__ import annotations

import asyncio
import gc
import logging
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from app import __version__
from app.api.application import Guards, build_application
from app.api.cors import Cors
from app.api.key_file import KeyFile
from app.api.keys import KeyRing
from app.api.limits import ApiLimits
from app.api.rate_limit import RateLimit
from app.api.serving import Service, Serving
from app.errors import SeqrankError
from app.observability import loop_errors
from app.observability.logs import Pseudonyms
from app.observability.metrics import Metrics
from app.observability.observer import ServiceObserver
from app.opening import open_serving
from app.ranking.fallback import Reason

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from fastapi import FastAPI

    from app.api.edge import Refuse
    from app.settings import Settings

Opener: TypeAlias = "Callable[[Settings, Metrics], AbstractAsyncContextManager[Serving]]"

ROUTES: Final = (
    "/rank", "/rank/{model}", "/feedback", "/events", "/users/{user}", "/items", "/items/{item}", "/health",
    "/health/live", "/health/ready", "/health/latency", "/info", "/metrics",
)  # fmt: skip

logger = logging.getLogger("seqrank")


@dataclass(frozen=True, slots=True)
class Application:
    """What a server serves.

    Attributes:
        asgi: The ASGI application.
        service: Where the process is in its life; the server sets `Service.draining`.
        refuse: See `app.api.edge.Edge.refuse`; None where a layer around the edge has to see every answer.
    """

    asgi: Any
    service: Service
    refuse: Refuse | None = None


def create_app(settings: Settings, opener: Opener = open_serving, *, accept_when_open: bool = False) -> Application:
    """Return the application.

    Args:
        settings: Every setting.
        opener: Opens what answers, so that a test can pass its own.
        accept_when_open: By default probes and a clear 503 answer from the first moment, while the parts are opened.
            One worker of several takes no connection before it can answer it: another worker can.

    Raises:
        InvalidSetting: If a key file cannot be read or holds no key.
    """
    metrics = Metrics(reasons=[str(reason) for reason in Reason], routes=ROUTES)
    secret = settings.user_secret.get_secret_value()
    observer = ServiceObserver(metrics, Pseudonyms(secret), slow_request_ms=settings.slow_request_ms)
    guards = _guards(settings)
    service = Service(also_degraded=guards.keys.degraded)

    edge = build_application(
        service=service,
        observer=observer,
        limits=ApiLimits(
            max_items=settings.max_items,
            timeout_ms=settings.timeout_ms,
            max_body_bytes=settings.max_body_bytes,
            latency_slo_ms=settings.latency_slo_ms,
        ),
        guards=guards,
        version=__version__,
        lifespan=_lifespan(partial(opener, settings, metrics), service, accept_when_open=accept_when_open),
    )
    origins = settings.names_in("cors_origins")
    cors = Cors(edge, origins) if origins else None
    return Application(cors or edge, service, None if cors else edge.refuse)


def _lifespan(
    parts: Callable[[], AbstractAsyncContextManager[Serving]], service: Service, *, accept_when_open: bool
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        loop_errors.install(asyncio.get_running_loop())
        opened, stop = asyncio.Event(), asyncio.Event()
        owner = asyncio.create_task(_own(parts(), service, opened, stop), name="owner-of-parts")
        try:
            if accept_when_open:
                await opened.wait()
            yield
        finally:
            stop.set()
            if not opened.is_set():
                # a store that loads for minutes is not waited for
                owner.cancel()
            await asyncio.gather(owner, return_exceptions=True)

    return lifespan


async def _own(
    parts: AbstractAsyncContextManager[Serving], service: Service, opened: asyncio.Event, stop: asyncio.Event
) -> None:
    """Open the parts, keep them until the end, close them: one task, because timeouts inside belong to it."""
    try:
        async with parts as serving:
            # what was opened stays: the collector need not look at it again and again
            gc.collect()
            gc.freeze()
            service.serving = serving
            opened.set()
            told = {"model": serving.name, "version": serving.version}
            told |= {"provider": serving.provider, "provider_reason": serving.provider_reason}
            logger.info("ready", extra=told)
            await stop.wait()
            service.serving = None
    except SeqrankError as error:
        service.failure = str(error)
    except Exception as error:
        service.failure = f"the service could not be opened: {type(error).__name__}: {error}"
        logger.exception("the service could not be opened")
    finally:
        opened.set()


def _guards(settings: Settings) -> Guards:
    keys = KeyRing(
        rank_keys=settings.names_in("api_keys"),
        admin_keys=settings.names_in("admin_keys"),
        rank_file=_key_file(settings.api_keys_file, "SEQRANK_API_KEYS_FILE"),
        admin_file=_key_file(settings.admin_keys_file, "SEQRANK_ADMIN_KEYS_FILE"),
    )
    rate = settings.rate_limit_per_s
    burst = settings.rate_limit_burst or max(1, round(rate * 2))
    return Guards(keys=keys, rate_limit=RateLimit(rate, burst) if rate else None)


def _key_file(path: Path | None, setting: str) -> KeyFile | None:
    return None if path is None else KeyFile(path, setting=setting)
