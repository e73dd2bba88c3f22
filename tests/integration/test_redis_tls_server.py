"""Histories on a server that talks TLS itself and wants a client certificate, both signed by an authority of ours."""

from __future__ import annotations

import datetime as dt
import ipaddress
import shutil
import subprocess
import time
from contextlib import asynccontextmanager

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.errors import StorageUnavailable
from tests.integration.opened_history import event
from tests.integration.redis_servers import free_port
from tests.integration.test_redis_tls import history_over_tls, tls_in_front_of


class Authority:
    """An authority whose certificates lie in a folder."""

    def __init__(self, folder, name) -> None:
        self.folder, self.name = folder, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.file = str(folder / f"{name}.pem")
        authority = x509.BasicConstraints(ca=True, path_length=None)
        built = self._builder(self.name, self._key).add_extension(authority, critical=True)
        self._write(self.file, built.sign(self._key, hashes.SHA256()))

    def sign(self, name):
        """Return the files of a certificate for 127.0.0.1 and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        host = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        built = self._builder(subject, key).add_extension(host, critical=False).sign(self._key, hashes.SHA256())
        certificate, private = str(self.folder / f"{name}.pem"), self.folder / f"{name}.key"
        self._write(certificate, built)
        pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
        private.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
        return certificate, str(private)

    def _builder(self, subject, key):
        now = dt.datetime.now(tz=dt.UTC)
        return (
            x509.CertificateBuilder(self.name, subject, key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
        )

    @staticmethod
    def _write(path, certificate):
        with open(path, "wb") as file:  # noqa: PTH123 -- a string goes to the settings
            file.write(certificate.public_bytes(serialization.Encoding.PEM))


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """Return an authority of this module alone."""
    return Authority(tmp_path_factory.mktemp("authority"), "authority")


def server_with_tls(folder, authority, certificate, port):
    """Start a Redis or Valkey of the PATH with TLS; return None if there is none that can."""
    program = shutil.which("valkey-server") or shutil.which("redis-server")
    if program is None:
        return None
    process = subprocess.Popen(
        [program, "--port", "0", "--tls-port", str(port), "--tls-cert-file", certificate[0],
         "--tls-key-file", certificate[1], "--tls-ca-cert-file", authority.file, "--tls-auth-clients", "yes",
         "--dir", str(folder), "--save", ""], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    time.sleep(0.3)
    return process if process.poll() is None else None


@asynccontextmanager
async def tls_url(folder, authority, valkey_server):
    """Yield the URL of a server with TLS, or of a TLS end in front of Valkey where no server can do it."""
    certificate, port = authority.sign("server"), free_port()
    process = server_with_tls(folder, authority, certificate, port)
    if process is None:
        async with tls_in_front_of(valkey_server.port, certificate, client_authority=authority.file) as port:
            yield f"rediss://127.0.0.1:{port}/0"
        return
    try:
        yield f"rediss://127.0.0.1:{port}/0"
    finally:
        process.kill()
        process.wait()


async def test_both_sides_show_a_certificate(tmp_path, authority, valkey_server):
    """With the authority's file and a certificate of ours, histories are written and read."""
    certificate, key = authority.sign("service")
    files = {"tls_ca_file": authority.file, "tls_cert_file": certificate, "tls_key_file": key}
    async with tls_url(tmp_path, authority, valkey_server) as url, history_over_tls(url, **files) as history:
        assert await history.append([event(1)]) == 1
        assert len(await history.read("ann", timeout_s=2.0)) == 1


async def test_a_server_that_wants_a_certificate_gets_none(tmp_path, authority, valkey_server):
    """Without a certificate of its own the service is refused, and says so."""
    async with (
        tls_url(tmp_path, authority, valkey_server) as url,
        history_over_tls(url, tls_ca_file=authority.file) as history,
    ):
        with pytest.raises(StorageUnavailable):
            await history.append([event(1)])
        with pytest.raises(StorageUnavailable):
            await history.read("ann", timeout_s=2.0)


async def test_a_server_of_another_authority_is_not_trusted(tmp_path, authority, valkey_server):
    """A server whose certificate somebody else signed is refused, though it would have let the service in."""
    other = Authority(tmp_path, "somebody-else")
    certificate, key = authority.sign("service")
    files = {"tls_ca_file": other.file, "tls_cert_file": certificate, "tls_key_file": key}
    async with tls_url(tmp_path, authority, valkey_server) as url, history_over_tls(url, **files) as history:
        with pytest.raises(StorageUnavailable):
            await history.read("ann", timeout_s=2.0)
