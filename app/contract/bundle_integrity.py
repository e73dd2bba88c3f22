"""Proves that a bundle folder holds exactly the bytes that its manifest lists."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from app.contract.manifest import MANIFEST_FILE, SIGNATURE_FILE, Manifest
from app.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_CHUNK_BYTES: Final = 4 << 20


def describe_files(bundle: Path, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return ``{name: {"sha256", "size"}}`` of files in ``bundle``, as the manifest lists them."""
    chosen = list(names)
    return {
        name: {"sha256": digest, "size": (bundle / name).stat().st_size}
        for name, digest in zip(chosen, _digests(bundle, chosen), strict=True)
    }


def check_files(bundle: Path, manifest: Manifest) -> None:
    """Check that every listed file is there, unaltered, and that nothing else is.

    Raises:
        BundleError: One sentence that names the file: missing, not listed, a link that leaves the folder, truncated or
            longer, exchanged with another one, or altered.
    """
    _check_listing(bundle, manifest)
    names = list(manifest.files)
    for name in names:
        _check_size(bundle / name, manifest.files[name]["size"])
    owners = {entry["sha256"]: name for name, entry in manifest.files.items()}
    for name, digest in zip(names, _digests(bundle, names), strict=True):
        if digest == manifest.files[name]["sha256"]:
            continue
        if digest in owners:
            message = f"{name} was exchanged: it holds what {MANIFEST_FILE} lists as {owners[digest]}"
        else:
            message = (
                f"{name} was altered: its SHA-256 is {digest[:12]}..., "
                f"{MANIFEST_FILE} lists {manifest.files[name]['sha256'][:12]}..."
            )
        raise BundleError(message)


def _check_listing(bundle: Path, manifest: Manifest) -> None:
    root = bundle.resolve()
    present = {path.name: path for path in bundle.iterdir()}
    missing = [name for name in manifest.files if name not in present]
    if missing:
        raise BundleError(f"{missing[0]} is missing from the bundle {bundle}")
    unlisted = sorted(set(present) - set(manifest.files) - {MANIFEST_FILE, SIGNATURE_FILE})
    if unlisted:
        raise BundleError(f"{unlisted[0]!r} lies in the bundle {bundle}, but {MANIFEST_FILE} does not list it")
    for name, path in present.items():
        if path.resolve().parent != root:
            raise BundleError(f"{name} is a link that leaves the bundle {bundle}")
        if not path.is_file():
            raise BundleError(f"{name} in the bundle {bundle} is no file")


def _check_size(path: Path, listed: int) -> None:
    actual = path.stat().st_size
    if actual != listed:
        raise BundleError(f"{path.name} was altered: it has {actual} bytes, {MANIFEST_FILE} lists {listed}")


def _digests(bundle: Path, names: list[str]) -> list[str]:
    """Hash files side by side; hashlib releases the interpreter lock."""
    with ThreadPoolExecutor(max_workers=4, thread_name_prefix="sha256") as pool:
        return list(pool.map(lambda name: _sha256(bundle / name), names))


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    buffer = bytearray(_CHUNK_BYTES)
    view = memoryview(buffer)
    try:
        with path.open("rb", buffering=0) as stream:
            while count := stream.readinto(buffer):
                digest.update(view[:count])
    except OSError as error:
        raise BundleError(f"{path.name} cannot be read: {error.strerror or error}") from error
    return digest.hexdigest()
