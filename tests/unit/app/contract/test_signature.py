"""A signed bundle is accepted by the signer's public key alone, and only unaltered."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, x25519

from app.contract.signature import check_signature, sign_manifest
from app.errors import BundleError
from app.inference.bundle import open_bundle

if TYPE_CHECKING:
    from pathlib import Path

PKCS8 = serialization.PrivateFormat.PKCS8
PEM = serialization.Encoding.PEM


def write_keys(folder: Path, name: str) -> tuple[Path, Path]:
    """Write a new key pair; return the paths of the private and the public key."""
    folder.mkdir(parents=True, exist_ok=True)
    key = ed25519.Ed25519PrivateKey.generate()
    private, public = folder / f"{name}.key", folder / f"{name}.pub"
    private.write_bytes(key.private_bytes(PEM, PKCS8, serialization.NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    return private, public


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """Return a copy that a test may sign."""
    return shutil.copytree(tiny_bundle, tmp_path / "bundle")


def test_a_signed_bundle_opens_with_its_key(bundle: Path, tmp_path: Path) -> None:
    """The whole bundle opens when a signature is required and right."""
    private, public = write_keys(tmp_path, "ours")
    sign_manifest(bundle, private)
    assert open_bundle(bundle, provider="cpu", public_key=public).manifest.name == "tiny"


def test_an_unsigned_bundle_is_refused_where_a_key_is_given(bundle: Path, tmp_path: Path) -> None:
    """Leaving the signature out is no way around it."""
    _, public = write_keys(tmp_path, "ours")
    with pytest.raises(BundleError, match=r"is not signed: it has no manifest\.sig"):
        open_bundle(bundle, provider="cpu", public_key=public)


def test_another_key_is_refused(bundle: Path, tmp_path: Path) -> None:
    """A signature by somebody else does not count."""
    sign_manifest(bundle, write_keys(tmp_path, "theirs")[0])
    with pytest.raises(BundleError, match=r"manifest\.sig does not sign manifest\.json"):
        check_signature(bundle, write_keys(tmp_path, "ours")[1])


def test_a_manifest_changed_after_signing_is_refused(bundle: Path, tmp_path: Path) -> None:
    """Even a changed space is found."""
    private, public = write_keys(tmp_path, "ours")
    sign_manifest(bundle, private)
    with (bundle / "manifest.json").open("a") as stream:
        stream.write(" ")
    with pytest.raises(BundleError, match="does not sign"):
        check_signature(bundle, public)


@pytest.mark.parametrize("content", [b"", b"!!!", b"QUJD", b"\x00" * 64])
def test_a_signature_that_is_none_is_refused(bundle: Path, tmp_path: Path, content: bytes) -> None:
    """Damaged base64 and wrong lengths end in the same sentence."""
    (bundle / "manifest.sig").write_bytes(content)
    with pytest.raises(BundleError, match="does not sign"):
        check_signature(bundle, write_keys(tmp_path, "ours")[1])


def test_a_key_of_another_kind_is_refused(bundle: Path, tmp_path: Path) -> None:
    """A key that cannot sign is named by its kind."""
    key = x25519.X25519PrivateKey.generate()
    path = tmp_path / "other.key"
    path.write_bytes(key.private_bytes(PEM, PKCS8, serialization.NoEncryption()))
    with pytest.raises(BundleError, match="X25519PrivateKey, expected an Ed25519 key"):
        sign_manifest(bundle, path)


def test_a_key_that_cannot_be_read_is_named(bundle: Path, tmp_path: Path) -> None:
    """A wrong path to the public key is a sentence."""
    with pytest.raises(BundleError, match=r"the public key .* cannot be read"):
        check_signature(bundle, tmp_path / "missing.pub")
