"""Signs ``manifest.json`` with Ed25519: the manifest names every file's hash, so the signature covers the bundle."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from app.contract.manifest import MANIFEST_FILE, SIGNATURE_FILE
from app.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey


def sign_manifest(bundle: Path, private_key: Path) -> None:
    """Write ``manifest.sig``: the base64 text of a detached Ed25519 signature over the bytes of ``manifest.json``.

    Args:
        bundle: The folder.
        private_key: PEM file (PKCS 8, no password) of an Ed25519 key: ``openssl genpkey -algorithm ed25519``.

    Raises:
        BundleError: If the key cannot be read or is of another kind.
    """
    signature = read_private_key(private_key).sign((bundle / MANIFEST_FILE).read_bytes())
    (bundle / SIGNATURE_FILE).write_bytes(base64.b64encode(signature) + b"\n")


def read_private_key(path: Path) -> Ed25519PrivateKey:
    """Return the Ed25519 private key of a PEM file without a password.

    Raises:
        BundleError: If it cannot be read or is of another kind.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise BundleError(f"the private key {path} cannot be read: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise BundleError(f"the private key {path} is {type(key).__name__}, expected an Ed25519 key")
    return key


def read_public_key(path: Path) -> Ed25519PublicKey:
    """Return the Ed25519 public key of a PEM file.

    Raises:
        BundleError: If it cannot be read or is of another kind.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise BundleError(f"the public key {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise BundleError(f"the public key {path} cannot be read: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise BundleError(f"the public key {path} is {type(key).__name__}, expected an Ed25519 key")
    return key


def check_signature(bundle: Path, public_key: Path) -> None:
    """Check ``manifest.sig`` against a trusted public key.

    Args:
        bundle: The folder.
        public_key: PEM file of the Ed25519 public key: ``openssl pkey -in KEY -pubout``.

    Raises:
        BundleError: If the key cannot be used, or the bundle is not signed, was signed by another key, or was altered
            afterwards.
    """
    from cryptography.exceptions import InvalidSignature

    key = read_public_key(public_key)
    path = bundle / SIGNATURE_FILE
    if not path.is_file():
        raise BundleError(f"the bundle {bundle} is not signed: it has no {SIGNATURE_FILE}, and a public key was given")
    try:
        signature = base64.b64decode(path.read_bytes().strip(), validate=True)
        key.verify(signature, (bundle / MANIFEST_FILE).read_bytes())
    except (InvalidSignature, binascii.Error, OSError) as error:
        raise BundleError(
            f"{SIGNATURE_FILE} does not sign {MANIFEST_FILE} of {bundle} with the key {public_key}"
        ) from error
