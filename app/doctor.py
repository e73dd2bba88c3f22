"""``python -m app doctor``: looks at everything that serving needs, and says what to do."""

from __future__ import annotations

import asyncio
import resource
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pydantic import SecretStr
from redis.exceptions import RedisError

from app.announcement import what_is_open
from app.bundle_ahead import provider_of
from app.contract.event_log import KEY_PREFIX
from app.errors import DataFolderInUse, InvalidSetting, ProviderUnavailable, SeqrankError
from app.inference.bundle import open_bundle
from app.inference.warm_up import WarmUpPlan, usable_cores, warm_up
from app.opening import store_of
from app.start_checks import check_key_files, check_public_key
from app.storage.embedded import EmbeddedValkey
from app.storage.redis_address import EMBEDDED, READ_URL_SETTING, URL_SETTING, check_urls
from app.storage.redis_failures import FAILURES

if TYPE_CHECKING:
    from app.settings import Settings
    from app.storage.store import Store

PINGS: Final = 50
WANTED_OPEN_FILES: Final = 4096
MOST_SKEW_S: Final = 1.0
LEAST_FREE_GB: Final = 1.0
WRITTEN_KEY: Final = f"{KEY_PREFIX}:doctor".encode()
EARLIEST_S: Final = 1_750_000_000
"""Mid-2025: a clock before it is surely wrong."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        about: What was looked at.
        well: Whether it is as it should be.
        text: What was found.
        advice: What to do if it is not well.
    """

    about: str
    well: bool
    text: str
    advice: str = ""


def examine(settings: Settings) -> int:
    """Print one line for everything that was looked at; return 0 if all is well, else 1."""
    findings = [_open_files(), _clock(), *_bundle(settings), *_disk(settings), *asyncio.run(_redis(settings))]
    findings.append(_keys(settings))
    for finding in findings:
        print(f"{'ok  ' if finding.well else 'FAIL'} {finding.about:<10} {finding.text}")
        if not finding.well and finding.advice:
            print(f"     {'':<10} -> {finding.advice}")
    return 0 if all(finding.well for finding in findings) else 1


def _open_files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Finding(
        "files",
        soft >= WANTED_OPEN_FILES,
        f"{soft} files may be open at once (limit of the system {hard})",
        f"run `ulimit -n {WANTED_OPEN_FILES}` before the service: every connection is an open file",
    )


def _clock() -> Finding:
    now_s = time.time()
    return Finding("clock", now_s > EARLIEST_S, time.strftime("it is %F %T UTC", time.gmtime(now_s)), "set the clock")


def _disk(settings: Settings) -> list[Finding]:
    """Look at the room of the embedded store, which ends rather than acknowledge what it cannot write."""
    if settings.redis_url.get_secret_value() != EMBEDDED:
        return []
    folder = settings.data_dir.absolute()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free_gb = shutil.disk_usage(existing).free / 1e9
    return [
        Finding(
            "disk",
            free_gb >= LEAST_FREE_GB,
            f"{free_gb:.1f} GB are free for the embedded store in {folder}",
            "make room, or name another folder with SEQRANK_DATA_DIR: events are refused when the disk is full",
        )
    ]


def _bundle(settings: Settings) -> list[Finding]:
    if settings.bundle is None:
        return [Finding("bundle", False, "none is given", "name one with --bundle DIR")]
    try:
        check_public_key(settings)
    except InvalidSetting as error:
        return [
            Finding("bundle", False, str(error), "name the PEM file of the public key that the bundle is signed by")
        ]
    try:
        bundle = open_bundle(settings.bundle, provider=provider_of(settings), public_key=settings.bundle_public_key)
    except ProviderUnavailable as error:
        return [Finding("provider", False, str(error))]
    except SeqrankError as error:
        advice = "export it again, or copy it again in full; `python -m model_export verify DIR` says more"
        return [Finding("bundle", False, str(error), advice)]
    manifest, certificate = bundle.manifest, bundle.certificate
    plan = WarmUpPlan(
        rows=manifest.item_count + 1,
        history_length=manifest.history_length,
        on_gpu=bundle.provider.name == "cuda",
        cores=usable_cores(),
    )
    curve = warm_up(bundle.ranker, plan).curve
    run_ms = curve.seconds_of(100) * 1000.0
    return [
        Finding("bundle", True, f"{manifest.name} {manifest.version}, {manifest.item_count} items, every file intact"),
        Finding(
            "certificate", True, f"{certificate.requests} golden requests, error {certificate.max_score_error:.1e}"
        ),
        Finding("provider", True, f"{bundle.provider.execution_provider}: {bundle.provider.reason}"),
        Finding(
            "model",
            run_ms < settings.timeout_ms / 2,
            f"100 candidates take {run_ms:.2f} ms of the {settings.timeout_ms:g} ms budget; {usable_cores()} cores",
            "raise SEQRANK_TIMEOUT_MS, export with --precision int8, or use a faster processor",
        ),
    ]


async def _redis(settings: Settings) -> list[Finding]:
    url, read_url = settings.redis_url.get_secret_value(), settings.redis_read_url.get_secret_value()
    named = f"{URL_SETTING} and {READ_URL_SETTING}" if read_url else URL_SETTING
    advice = f"check {named}, and that the server runs"
    if url == EMBEDDED:
        advice = "valkey.log in SEQRANK_DATA_DIR says more"
    try:
        check_urls(url, read_url)
        return await _store(settings, is_embedded=url == EMBEDDED)
    except DataFolderInUse as error:
        return await _store_of_another(settings, str(error))
    except InvalidSetting as error:
        return [Finding("redis", False, str(error))]
    except (SeqrankError, RedisError, OSError) as error:
        return [Finding("redis", False, str(error), advice)]


async def _store(settings: Settings, *, is_embedded: bool) -> list[Finding]:
    async with store_of(settings) as store:
        await _reach(store)
        latency = await _redis_latency(store, settings, is_embedded=is_embedded)
        return [latency, await _redis_writing(store), *await _redis_settings(store)]


async def _store_of_another(settings: Settings, in_use: str) -> list[Finding]:
    """Look at the embedded store of the service that runs on the same folder."""
    beside = settings.model_copy(update={"redis_url": SecretStr(EmbeddedValkey(settings.data_dir).url)})
    advice = "if it is the service, all is well, but its store cannot be looked at; else name a folder of its own"
    try:
        found = await _store(beside, is_embedded=True)
    except (SeqrankError, RedisError, OSError) as error:
        return [Finding("redis", False, f"{in_use} ({error})", advice)]
    return [Finding("service", True, "a Seqrank is running on this data folder; its store is looked at"), *found]


async def _reach(store: Store) -> None:
    """Ask Redis anything, by the client whose errors say most.

    Raises:
        StorageUnavailable: With the reason.
    """
    try:
        await store.redis.client.ping()
    except FAILURES as error:
        raise store.redis.failure(error, doing="ask Redis") from error


async def _redis_latency(store: Store, settings: Settings, *, is_embedded: bool) -> Finding:
    timeout_s = settings.redis_timeout_ms / 1000.0
    spent_ms = []
    for _ in range(PINGS):
        started_s = time.perf_counter()
        await store.history.read("seqrank-doctor", timeout_s=max(timeout_s, 1.0))
        spent_ms.append((time.perf_counter() - started_s) * 1000.0)
    p50, p99 = np.percentile(spent_ms, (50, 99))
    if is_embedded:
        # on the same machine a single slow read out of fifty says that the machine is busy now, nothing of the store
        judged, advice = p50, "let this machine do less, or raise SEQRANK_REDIS_TIMEOUT_MS and SEQRANK_TIMEOUT_MS"
    else:
        judged, advice = p99, "move Redis nearer, or raise SEQRANK_REDIS_TIMEOUT_MS and SEQRANK_TIMEOUT_MS"
    return Finding(
        "redis",
        bool(judged < settings.redis_timeout_ms),
        f"a history is read in {p50:.2f} ms (p99 {p99:.2f} ms) of {settings.redis_timeout_ms:g} ms",
        advice,
    )


async def _redis_writing(store: Store) -> Finding:
    """Write a key that is gone a second later: a replica, a full memory or disk, or missing rights show here."""
    try:
        await store.redis.client.set(WRITTEN_KEY, b"", px=1000)
    except FAILURES as error:
        failure = store.redis.failure(error, doing="write")
        return Finding("writing", False, str(failure), "until then every event is refused with a 503")
    return Finding("writing", True, "Redis takes what is written")


async def _redis_settings(store: Store) -> list[Finding]:
    client = store.redis.client
    if store.redis.is_cluster:
        return [Finding("cluster", True, "persistence settings are not looked at on a cluster")]
    found = []
    try:
        seconds, microseconds = await client.time()
        skew_s = abs(time.time() - (seconds + microseconds / 1e6))
        found.append(
            Finding("skew", skew_s < MOST_SKEW_S, f"Redis's clock is {skew_s:.3f} s away from ours", "synchronise both")
        )
        append_only = await _setting(client, "appendonly")
        fsync = await _setting(client, "appendfsync")
        policy = await _setting(client, "maxmemory-policy")
        limit = await _setting(client, "maxmemory")
    except RedisError as error:
        return [*found, Finding("settings", True, f"CONFIG or TIME may not be asked here ({type(error).__name__})")]
    return [
        *found,
        Finding("append log", append_only == "yes", f"appendonly {append_only}",
                "set `appendonly yes`: without it acknowledged events are lost when Redis ends"),
        Finding("fsync", fsync == "always", f"appendfsync {fsync}",
                "`everysec` may lose a second of acknowledged events in a power cut; set `always` to lose none"),
        # `volatile-...` too: histories and the event log are what has an expiry
        Finding("eviction", policy == "noeviction" or limit == "0", f"maxmemory-policy {policy}, maxmemory {limit}",
                "set `noeviction`: other policies drop histories and the event log when memory is short"),
    ]  # fmt: skip


async def _setting(client: Any, name: str) -> str:
    found = await client.config_get(name)
    values = [value.decode() if isinstance(value, bytes) else str(value) for value in found.values()]
    return values[0] if values else "unknown"


def _keys(settings: Settings) -> Finding:
    try:
        check_key_files(settings)
    except InvalidSetting as error:
        return Finding("keys", False, str(error), "write keys into the file, one a line: the service does not start")
    is_open = what_is_open(settings)
    loopback = settings.host in ("127.0.0.1", "localhost", "::1")
    return Finding(
        "keys",
        is_open is None or loopback,
        "requests need a key" if is_open is None else f"listening on {settings.host}: {is_open}",
        "set SEQRANK_API_KEYS before anyone else can reach the port",
    )
