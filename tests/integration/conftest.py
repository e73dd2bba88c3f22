"""Real stores for integration tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.redis_servers import Server, running_cluster, running_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def _shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def valkey_server(_shared_server: Server) -> Server:
    """Return a running, empty server that the whole session shares; do not kill or stall it."""
    with _shared_server.client() as client:
        client.flushall()
        client.script_flush()
    return _shared_server


@pytest.fixture
def valkey_url(valkey_server: Server) -> str:
    """Return the URL of a running, empty server that the whole session shares."""
    return valkey_server.url


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """Return a server of this test alone, to be killed or stalled."""
    with running_server(tmp_path) as server:
        yield server


@pytest.fixture(scope="session")
def _shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as servers:
        yield servers


@pytest.fixture
def valkey_cluster(_shared_cluster: list[Server]) -> list[Server]:
    """Return the three empty primaries of a cluster that the whole session shares."""
    for server in _shared_cluster:
        with server.client() as client:
            client.flushall()
    return _shared_cluster


@pytest.fixture
def cluster_url(valkey_cluster: list[Server]) -> str:
    """Return the URL of an empty cluster of three."""
    return f"redis+cluster://127.0.0.1:{valkey_cluster[0].port}"
