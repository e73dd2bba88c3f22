"""Puts a finished bundle in its place: complete under its name, or not there at all."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from app.contract.bundle_integrity import describe_files
from app.contract.manifest import BUNDLE_FILES, MANIFEST_FILE, Manifest, manifest_from
from app.contract.signature import sign_manifest
from app.contract.strict_json import parse_strict_json
from app.errors import BundleError
from model_export.flushing import flush

if TYPE_CHECKING:
    from collections.abc import Iterator

_VERSION_DIGITS: Final = 12


@contextmanager
def bundle_draft(destination: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``destination`` to build the bundle in; it is gone afterwards, whatever happens.

    Raises:
        BundleError: If ``destination`` exists: a published bundle is never changed.
    """
    _refuse_existing(destination)
    destination.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{destination.name}.", dir=destination.parent))
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def publish(draft: Path, destination: Path, manifest: Manifest, *, sign_key: Path | None = None) -> Manifest:
    """Write ``manifest.json`` into ``draft``, sign it, flush everything to disk and rename the folder.

    Args:
        draft: From `bundle_draft`, holding every file of `BUNDLE_FILES`.
        destination: The bundle's final place; must not exist.
        manifest: Complete but for ``files``, ``version`` and ``created``, which are filled in here. ``version`` follows
            from the content alone, so that the same content gets the same version.
        sign_key: PEM file of an Ed25519 private key.

    Returns:
        The manifest as written.

    Raises:
        BundleError: If ``destination`` exists, or the manifest would not be accepted by a reader.
    """
    files = describe_files(draft, BUNDLE_FILES)
    complete = replace(
        manifest,
        files=files,
        version=content_version(manifest, files),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    content = complete.to_json().encode()
    manifest_from(parse_strict_json(content, name=MANIFEST_FILE))
    (draft / MANIFEST_FILE).write_bytes(content)
    if sign_key is not None:
        sign_manifest(draft, sign_key)
    draft.chmod(0o755)
    for path in (*draft.iterdir(), draft):
        flush(path)
    _refuse_existing(destination)
    draft.rename(destination)
    flush(destination.parent)
    return complete


def content_version(manifest: Manifest, files: dict[str, dict[str, Any]]) -> str:
    """Return ``PRECISION-HEX``, the same for the same files and the same settings."""
    digest = hashlib.sha256()
    settings = (manifest.name, manifest.precision, manifest.history_length, manifest.actions, manifest.max_tokens)
    digest.update(repr(settings).encode())
    digest.update(repr((manifest.objectives, sorted(manifest.default_objective.items()))).encode())
    digest.update(repr(sorted(manifest.calibration.items())).encode())
    for name in sorted(files):
        digest.update(f"{name} {files[name]['sha256']}\n".encode())
    return f"{manifest.precision}-{digest.hexdigest()[:_VERSION_DIGITS]}"


def _refuse_existing(destination: Path) -> None:
    if destination.exists() or destination.is_symlink():
        raise BundleError(
            f"the bundle {destination} exists already; a published bundle is never changed, choose another folder"
        )
