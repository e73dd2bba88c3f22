"""Opens Redis: one reader for the rank path, one pooled client for everything else."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import hiredis
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.cluster import LoadBalancingStrategy

from app.storage.cluster_reader import ClusterReader
from app.storage.pipelined_reader import PipelinedReader
from app.storage.queuing_cluster import QueuingCluster
from app.storage.redis_address import (
    CLUSTER_SCHEMES,
    READ_URL_SETTING,
    URL_SETTING,
    check_urls,
    is_cluster,
    not_parsed,
)
from app.storage.redis_failures import storage_failure
from app.storage.tls_files import tls_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable

    from app.errors import StorageUnavailable


class Reader(Protocol):
    """The hot read, on one server or a cluster.

    Attributes:
        stalls: How many connections were dropped because a reply did not come.
    """

    stalls: int

    async def get_two(self, first: bytes, second: bytes, *, timeout_s: float) -> tuple[bytes | None, bytes | None]:
        """Return the values of two string keys of one slot in one round trip."""

    async def ping(self, *, timeout_s: float) -> None:
        """Return when Redis has answered."""

    async def close(self) -> None:
        """Drop the connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisOptions:
    """Where Redis is and how long to wait for it.

    Attributes:
        url: ``redis://[user:password@]host:port/db``, ``rediss://`` (TLS), ``redis+cluster://``,
            ``rediss+cluster://`` or ``unix://[user:password@]/path.sock?db=0``.
        read_url: Where histories are read from, for example a replica; empty means ``url``. A replica may lag, so that
            an acknowledged event is missing from the next list. On a cluster any value means: read from replicas.
        connect_timeout_ms: To open a connection of the rank path.
        read_timeout_ms: After which a read of the rank path counts as a failure.
        write_timeout_ms: To write, scan, and connect for that.
        max_connections: Of the pooled client; further writes wait in line for ``write_timeout_ms``.
        tls_ca_file: PEM file of the authority; empty means the system's.
        tls_cert_file: PEM file of a client certificate.
        tls_key_file: PEM file of its key.
        tls_check_host_name: Whether the server's certificate must carry the host's name.
    """

    url: str
    read_url: str = ""
    connect_timeout_ms: float = 50.0
    read_timeout_ms: float = 20.0
    write_timeout_ms: float = 1000.0
    max_connections: int = 32
    tls_ca_file: str = ""
    tls_cert_file: str = ""
    tls_key_file: str = ""
    tls_check_host_name: bool = True


@dataclass(frozen=True, slots=True)
class RedisConnection:
    """What `open_redis` opens.

    Attributes:
        reader: For the rank path.
        client: For everything else; a redis-py ``Redis`` or `QueuingCluster` that answers bytes. Typed `Any`, because
            redis-py's stubs differ from release to release.
        is_cluster: Whether keys of different hash tags may lie on different servers.
        why_away: Says why the server cannot be reached, where somebody knows; else None.
    """

    reader: Reader
    client: Any
    is_cluster: bool
    why_away: Callable[[], str | None] = lambda: None

    def failure(self, error: BaseException, *, doing: str) -> StorageUnavailable:
        """Return the failure to raise from an error of `client`; see `storage_failure`."""
        return storage_failure(error, doing=doing, away=self.why_away())


@asynccontextmanager
async def open_redis(options: RedisOptions) -> AsyncIterator[RedisConnection]:
    """Open Redis without asking it anything yet, so that an outage at start is no reason not to start.

    Raises:
        InvalidSetting: If a URL or a TLS file is wrong.
    """
    check_urls(options.url, options.read_url)
    if is_cluster(options.url):
        scheme = options.url.partition("://")[0]
        rank_path_s, other_s = options.connect_timeout_ms / 1000, options.write_timeout_ms / 1000
        reading = _cluster_client(options, scheme, timeout_s=rank_path_s, from_replicas=bool(options.read_url))
        other = _cluster_client(options, scheme, timeout_s=other_s, from_replicas=False)
        try:
            yield RedisConnection(ClusterReader(reading), other, is_cluster=True)
        finally:
            await reading.aclose()
            await other.aclose()
        return
    client = _client(options)
    reader = _reader(options)
    try:
        yield RedisConnection(reader, client, is_cluster=False)
    finally:
        await reader.close()
        await client.aclose()


def _client(options: RedisOptions) -> Redis:
    address = _parsed(options.url, URL_SETTING)
    if address.get("connection_class") and "host" in address:
        address |= _tls_arguments(options)
    pool = BlockingConnectionPool(
        **address,
        max_connections=options.max_connections,
        timeout=options.write_timeout_ms / 1000,
        socket_timeout=options.write_timeout_ms / 1000,
        socket_connect_timeout=options.write_timeout_ms / 1000,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )
    return Redis.from_pool(pool)


def _cluster_client(options: RedisOptions, scheme: str, *, timeout_s: float, from_replicas: bool) -> Any:
    plain_url = options.url.replace(scheme, CLUSTER_SCHEMES[scheme], 1)
    _parsed(plain_url, URL_SETTING)
    tls = _tls_arguments(options) if CLUSTER_SCHEMES[scheme] == "rediss" else {}
    return QueuingCluster.from_url(
        plain_url,
        max_connections=options.max_connections,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 1),
        load_balancing_strategy=LoadBalancingStrategy.ROUND_ROBIN if from_replicas else None,
        protocol=2,
        **tls,
    )


def _tls_arguments(options: RedisOptions) -> dict[str, Any]:
    return {
        "ssl_ca_certs": options.tls_ca_file or None,
        "ssl_certfile": options.tls_cert_file or None,
        "ssl_keyfile": options.tls_key_file or None,
        "ssl_check_hostname": options.tls_check_host_name,
    }


def _reader(options: RedisOptions) -> PipelinedReader:
    url, setting = (options.read_url, READ_URL_SETTING) if options.read_url else (options.url, URL_SETTING)
    address = _parsed(url, setting)
    connect_timeout_s = options.connect_timeout_ms / 1000
    tls = _tls_context(options) if url.startswith("rediss://") else None

    async def connect(protocol: Any) -> tuple[asyncio.BaseTransport, Any]:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(connect_timeout_s):
            if "path" in address:
                return await loop.create_unix_connection(protocol, address["path"])
            return await loop.create_connection(
                protocol, address.get("host", "localhost"), address.get("port", 6379), ssl=tls
            )

    return PipelinedReader(connect, handshake=_handshake(address), stalled_after_s=options.read_timeout_ms / 1000)


def _handshake(address: dict[str, Any]) -> tuple[bytes, ...]:
    commands: list[bytes] = []
    pack: Any = hiredis.pack_command
    if address.get("password"):
        commands.append(pack(("AUTH", address.get("username", "default"), address["password"])))
    if address.get("db"):
        commands.append(pack(("SELECT", address["db"])))
    return tuple(commands)


def _tls_context(options: RedisOptions) -> ssl.SSLContext:
    return tls_context(
        ca_file=options.tls_ca_file,
        cert_file=options.tls_cert_file,
        key_file=options.tls_key_file,
        check_host_name=options.tls_check_host_name,
    )


def _parsed(url: str, setting: str) -> dict[str, Any]:
    try:
        return dict(parse_url(url))
    except ValueError as error:
        raise not_parsed(setting) from error
