"""Opens the bundle while the rest of the service is still being imported."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeAlias

import pyarrow as pa

from app.errors import ProviderUnavailable
from app.inference.bundle import Bundle, open_bundle
from app.inference.provider import Provider, obtain_provider

if TYPE_CHECKING:
    from app.settings import Settings

Opening: TypeAlias = "Future[Bundle]"


def begin(settings: Settings) -> Opening:
    """Begin to open the bundle in a thread; the future ends with it or with what `open_bundle` raised.

    Hashing, loading and replaying hardly need the interpreter, which is busy for a second with imports. The thread
    does not keep the process from ending.
    """
    # what Arrow reads at the start it lets go of again, and only the C library's allocator gives all of that back
    pa.set_memory_pool(pa.system_memory_pool())
    opening: Opening = Future()
    # from now on nobody can cancel it
    opening.set_running_or_notify_cancel()
    threading.Thread(target=_open, args=(settings, opening), name="open-bundle", daemon=True).start()
    return opening


def provider_of(settings: Settings) -> Provider:
    """Return the execution provider.

    Raises:
        ProviderUnavailable: If it cannot be had; the sentence names the variable.
    """
    limit_bytes = settings.gpu_memory_limit_mb * 1_000_000 or None
    try:
        return obtain_provider(settings.provider, gpu_memory_limit_bytes=limit_bytes)
    except ProviderUnavailable as error:
        raise ProviderUnavailable(f"SEQRANK_PROVIDER is {settings.provider!r}: {error}") from error


def _open(settings: Settings, opening: Opening) -> None:
    try:
        opening.set_result(_open_bundle(settings))
    except BaseException as error:  # noqa: BLE001 -- whoever waits for the bundle must hear of it
        opening.set_exception(error)


def _open_bundle(settings: Settings) -> Bundle:
    return open_bundle(
        settings.named_bundle(),
        provider=provider_of(settings),
        threads=settings.model_threads,
        encoder_threads=settings.encoder_threads,
        public_key=settings.bundle_public_key,
    )
