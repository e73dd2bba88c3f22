"""Histories over TLS."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import ssl
from contextlib import asynccontextmanager

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.errors import StorageUnavailable
from app.storage.circuit_breaker import CircuitBreaker
from app.storage.connection import RedisOptions, open_redis
from app.storage.key_layout import KeyLayout
from app.storage.redis_history import HistoryLimits, RedisHistory
from tests.integration.opened_history import event


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """Return certificate and key files of 127.0.0.1, signed by itself."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(tz=dt.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(built.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(private)
    return folder / "cert.pem", folder / "key.pem"


@asynccontextmanager
async def tls_in_front_of(port, certificate, *, client_authority=None):
    """Run a TLS end in front of a plain server and return its port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    if client_authority is not None:
        context.load_verify_locations(client_authority)
        context.verify_mode = ssl.CERT_REQUIRED
    open_writers = []

    async def copy(reader, writer):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def serve(reader, writer):
        there, back = await asyncio.open_connection("127.0.0.1", port)
        open_writers.extend((writer, back))
        await asyncio.gather(copy(reader, back), copy(there, writer), return_exceptions=True)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in open_writers:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)
        await server.wait_closed()


@asynccontextmanager
async def history_over_tls(url, **options):
    """Open a history with TLS options."""
    async with open_redis(RedisOptions(url=url, connect_timeout_ms=2000, read_timeout_ms=2000, **options)) as opened:
        yield RedisHistory(opened, breaker=CircuitBreaker(), layout=KeyLayout(), limits=HistoryLimits())


async def test_reads_and_writes_go_over_tls(valkey_server, certificate):
    """With the authority's file, both the rank path and the pooled client talk TLS."""
    async with (
        tls_in_front_of(valkey_server.port, certificate) as port,
        history_over_tls(f"rediss://127.0.0.1:{port}/0", tls_ca_file=str(certificate[0])) as history,
    ):
        assert await history.append([event(1)]) == 1
        assert len(await history.read("ann", timeout_s=2.0)) == 1


async def test_an_unknown_authority_is_refused(valkey_server, certificate):
    """Without the authority's file nothing is sent, and the failure is a sentence."""
    async with (
        tls_in_front_of(valkey_server.port, certificate) as port,
        history_over_tls(f"rediss://127.0.0.1:{port}/0") as history,
    ):
        with pytest.raises(StorageUnavailable):
            await history.append([event(1)])
        with pytest.raises(StorageUnavailable):
            await history.read("ann", timeout_s=2.0)


async def test_the_host_name_is_checked_unless_told_otherwise(valkey_server, certificate):
    """A certificate of another host is refused; with the check switched off it is taken."""
    async with tls_in_front_of(valkey_server.port, certificate) as port:
        url = f"rediss://localhost:{port}/0"
        async with history_over_tls(url, tls_ca_file=str(certificate[0])) as history:
            with pytest.raises(StorageUnavailable):
                await history.read("ann", timeout_s=2.0)
        async with history_over_tls(url, tls_ca_file=str(certificate[0]), tls_check_host_name=False) as history:
            assert len(await history.read("ann", timeout_s=2.0)) == 0
            assert await history.append([event(1)]) == 1
