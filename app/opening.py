"""Opens everything that answers: store, bundle, catalogue, line; closed by unwinding."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from app import __version__, bundle_ahead
from app.api.serving import Serving
from app.catalog.online_catalog import OnlineCatalog, open_catalog
from app.contract.calibration import calibration_from
from app.inference.certificate_watch import CertificateWatch
from app.inference.latency_predictor import LatencyPredictor
from app.inference.micro_batcher import MicroBatcher
from app.inference.warm_up import WarmUp, WarmUpPlan, usable_cores, warm_up
from app.inference.worker_threads import handoff_s
from app.ranking.actions import ActionIds
from app.ranking.history import HistoryReader
from app.ranking.list_maker import ListMaker
from app.ranking.scoring import CandidateScoring
from app.ranking.service import RankingService
from app.storage.append_call import HistoryLimits
from app.storage.circuit_breaker import CircuitState
from app.storage.connection import RedisOptions
from app.storage.store import Store, open_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from app.bundle_ahead import Opening
    from app.inference.bundle import Bundle
    from app.observability.metrics import Metrics
    from app.settings import Settings

CANNED_CANDIDATES: Final = 100
_SECONDS_A_DAY: Final = 86_400


@asynccontextmanager
async def open_serving(settings: Settings, metrics: Metrics, opening: Opening | None = None) -> AsyncIterator[Serving]:
    """Open every part; it takes seconds at most, and the event loop stays free meanwhile.

    Args:
        settings: Every setting.
        metrics: Told what is served.
        opening: From `app.bundle_ahead.begin`, if that was done before.

    Raises:
        BundleError: If the bundle is not as its manifest and certificate say.
        ProviderUnavailable: If the execution provider cannot be had.
        InvalidSetting: If the store's settings cannot be used.
        StorageUnavailable: If the embedded store does not start.
    """
    async with AsyncExitStack() as stack:
        store, bundle = await _store_and_bundle(stack, settings, opening or bundle_ahead.begin(settings))
        catalog = await stack.enter_async_context(_catalog(bundle, store, settings))
        warmed = await asyncio.to_thread(_warm_up, bundle, settings, await handoff_s())
        line = await stack.enter_async_context(_line(bundle, warmed, settings))
        certificate = await stack.enter_async_context(
            CertificateWatch(bundle, every_s=settings.certificate_every_s, is_busy=lambda: line.running > 0)
        )
        _show(metrics, bundle, line, store)
        yield Serving(
            name=bundle.manifest.name,
            version=bundle.manifest.version,
            actions=bundle.manifest.actions,
            columns=catalog.columns,
            provider=bundle.provider.name,
            provider_reason=bundle.provider.reason,
            ranking=_ranking(bundle, catalog, store, line, settings),
            history=store.history,
            items=catalog,
            line=line,
            info=partial(_info, bundle, catalog, line, store, certificate),
            trouble=partial(line.trouble, stuck_after_s=settings.stuck_after_s),
            unready=lambda: certificate.failure,
            degraded=lambda: [] if store.trouble() is None else ["redis"],
            canned_items=catalog.ids_of_rows(catalog.live_rows()[:CANNED_CANDIDATES]),
        )


async def _store_and_bundle(stack: AsyncExitStack, settings: Settings, opening: Opening) -> tuple[Store, Bundle]:
    try:
        store = await stack.enter_async_context(store_of(settings))
    finally:
        bundle = await asyncio.wrap_future(opening)
    return store, bundle


def store_of(settings: Settings) -> AbstractAsyncContextManager[Store]:
    """Return the store, to be opened."""
    return open_store(
        _redis_options(settings),
        limits=_history_limits(settings),
        data_dir=settings.data_dir,
        append_fsync=settings.append_fsync,
        user_secret=settings.user_secret.get_secret_value(),
    )


def _redis_options(settings: Settings) -> RedisOptions:
    """Return where Redis is, and how long to wait for it."""
    return RedisOptions(
        url=settings.redis_url.get_secret_value(),
        read_url=settings.redis_read_url.get_secret_value(),
        connect_timeout_ms=settings.redis_connect_timeout_ms,
        read_timeout_ms=settings.redis_timeout_ms,
        write_timeout_ms=settings.redis_write_timeout_ms,
        max_connections=settings.redis_max_connections,
        tls_ca_file=settings.redis_tls_ca_file,
        tls_cert_file=settings.redis_tls_cert_file,
        tls_key_file=settings.redis_tls_key_file,
        tls_check_host_name=settings.redis_tls_check_host_name,
    )


def _history_limits(settings: Settings) -> HistoryLimits:
    """Return how much of a user is kept, and for how long."""
    return HistoryLimits(
        kept_events=settings.history_kept_events,
        history_ttl_s=int(settings.history_ttl_days * _SECONDS_A_DAY),
        log_events=settings.event_log_entries,
        log_retention_s=int(settings.event_log_days * _SECONDS_A_DAY),
    )


def _warm_up(bundle: Bundle, settings: Settings, handoff: float) -> WarmUp:
    plan = WarmUpPlan(
        rows=bundle.manifest.item_count + 1,
        history_length=bundle.manifest.history_length,
        on_gpu=bundle.provider.name == "cuda",
        cores=max(1, usable_cores() // settings.workers),
        workers=settings.model_workers,
        batching=settings.batching,
        max_candidates=settings.max_items,
        handoff_s=handoff,
    )
    return warm_up(bundle.ranker, plan)


def _line(bundle: Bundle, warmed: WarmUp, settings: Settings) -> MicroBatcher:
    return MicroBatcher(
        bundle.ranker,
        policy=warmed.policy,
        predictor=LatencyPredictor(warmed.curve),
        catalog_predictor=LatencyPredictor(warmed.catalog_curve),
        max_waiting=settings.max_waiting,
    )


def _catalog(bundle: Bundle, store: Store, settings: Settings) -> AbstractAsyncContextManager[OnlineCatalog]:
    return open_catalog(
        bundle.path,
        encoder=bundle.encoder,
        encoder_name=bundle.manifest.version,
        store=store.items,
        on_table_changed=bundle.ranker.use_item_table,
        spare_rows=settings.spare_rows,
        check_every_s=settings.catalog_check_s,
    )


def _ranking(
    bundle: Bundle, catalog: OnlineCatalog, store: Store, line: MicroBatcher, settings: Settings
) -> RankingService:
    histories = HistoryReader(
        store.history,
        catalog,
        ActionIds(bundle.manifest.actions),
        history_length=bundle.manifest.history_length,
        store_timeout_s=settings.redis_timeout_ms / 1000.0,
    )
    return RankingService(
        catalog=catalog,
        histories=histories,
        scoring=CandidateScoring(line, catalog),
        list_maker=ListMaker(catalog, calibration_from(bundle.manifest.calibration)),
        objectives=bundle.manifest.objectives,
        rescored=settings.rescored_items,
    )


def _show(metrics: Metrics, bundle: Bundle, line: MicroBatcher, store: Store) -> None:
    manifest = bundle.manifest
    metrics.describe_model(
        model=manifest.name,
        version=manifest.version,
        precision=manifest.precision,
        execution_provider=bundle.provider.execution_provider,
    )
    metrics.watch("queue_size", "Requests in line for the model.", lambda: line.waiting)
    metrics.watch("runs_under_way", "Runs of the model right now.", lambda: line.running)
    breaker = store.breaker
    metrics.watch("redis_circuit_open", "1 while Redis is not asked.", lambda: breaker.state is not CircuitState.CLOSED)
    metrics.watch("redis_circuit_opened_total", "How often that began.", lambda: breaker.times_opened)


def _info(
    bundle: Bundle, catalog: OnlineCatalog, line: MicroBatcher, store: Store, certificate: CertificateWatch
) -> dict[str, Any]:
    manifest, replay = bundle.manifest, certificate.latest
    return {
        "name": manifest.name,
        "version": manifest.version,
        "format_version": manifest.format_version,
        "created": manifest.created,
        "precision": manifest.precision,
        "provider": bundle.provider.name,
        "execution_provider": bundle.provider.execution_provider,
        "provider_reason": bundle.provider.reason,
        "history_length": manifest.history_length,
        "actions": list(manifest.actions),
        "objectives": list(manifest.objectives),
        "default_objective": manifest.default_objective,
        "vector_width": manifest.vector_width,
        "items": catalog.item_count,
        "items_online": catalog.online_count,
        "catalog_version": catalog.version,
        "split": manifest.training_data.get("split"),
        "metrics": manifest.metrics,
        "parity": manifest.parity,
        "batching": line.policy.describe(),
        "certificate": {
            "failure": certificate.failure,
            "requests": replay.requests,
            "max_score_error": replay.max_score_error,
            "top10_agreement": replay.top10_agreement,
        },
        "redis": str(store.breaker.state),
        "service_version": __version__,
    }
