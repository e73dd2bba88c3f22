"""Refuses settings that cannot work before the port is open and anything heavy is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.api.key_file import KeyFile
from app.contract.manifest import BUNDLE_FILES, read_manifest
from app.errors import BundleError, InvalidSetting, ProviderUnavailable
from app.storage.redis_address import check_urls, uses_tls
from app.storage.tls_files import tls_context

if TYPE_CHECKING:
    from pathlib import Path

    from app.settings import Settings


def check_before_start(settings: Settings) -> None:
    """Look at whatever can be looked at without a network, a device or a bundle's weights.

    Raises:
        InvalidSetting: If no bundle is named, or a key file, Redis URL, TLS file or public key cannot be used.
        ProviderUnavailable: If CUDA is asked for and this ONNX Runtime is built without it.
        BundleError: If the bundle lacks a file or is not signed as wanted; the rest is checked when it is opened.
    """
    check_key_files(settings)
    _check_redis(settings)
    check_provider(settings)
    check_public_key(settings)
    _look_at_bundle(settings.named_bundle(), settings.bundle_public_key)


def check_key_files(settings: Settings) -> None:
    """Raise `InvalidSetting` if a key file cannot be read or holds no key."""
    for path, setting in (
        (settings.api_keys_file, "SEQRANK_API_KEYS_FILE"),
        (settings.admin_keys_file, "SEQRANK_ADMIN_KEYS_FILE"),
    ):
        if path is not None:
            KeyFile(path, setting=setting)


def check_provider(settings: Settings) -> None:
    """Raise `ProviderUnavailable` if CUDA is asked for and not built in; whether it works shows when it is opened."""
    if settings.provider != "cuda":
        return
    from app.inference.provider import require_cuda_build

    try:
        require_cuda_build()
    except ProviderUnavailable as error:
        raise ProviderUnavailable(f"SEQRANK_PROVIDER is 'cuda': {error}") from error


def check_public_key(settings: Settings) -> None:
    """Raise `InvalidSetting` if a public key is named and cannot be used."""
    path = settings.bundle_public_key
    if path is None:
        return
    from app.contract.signature import read_public_key

    try:
        read_public_key(path)
    except BundleError as error:
        raise InvalidSetting(f"SEQRANK_BUNDLE_PUBLIC_KEY is {str(path)!r}: {error}") from error


def _check_redis(settings: Settings) -> None:
    urls = settings.redis_url.get_secret_value(), settings.redis_read_url.get_secret_value()
    check_urls(*urls)
    if any(uses_tls(url) for url in urls):
        tls_context(
            ca_file=settings.redis_tls_ca_file,
            cert_file=settings.redis_tls_cert_file,
            key_file=settings.redis_tls_key_file,
            check_host_name=settings.redis_tls_check_host_name,
        )


def _look_at_bundle(bundle: Path, public_key: Path | None) -> None:
    if not bundle.is_dir():
        raise BundleError(f"the bundle {bundle} does not exist or is no folder")
    if public_key is not None:
        from app.contract.signature import check_signature

        check_signature(bundle, public_key)
    read_manifest(bundle)
    for name in BUNDLE_FILES:
        if not (bundle / name).is_file():
            raise BundleError(f"the bundle {bundle} has no {name}")
