"""The service's Redis as the offline commands ask it; failures are sentences without what Redis said."""

from __future__ import annotations

from typing import Any, Final

import redis
from redis.exceptions import RedisClusterException, RedisError

from model_export.errors import DataError

_CLUSTER_SCHEMES: Final = {"redis+cluster": "redis", "rediss+cluster": "rediss"}


def open_redis(url: str) -> Any:
    """Return a client.

    Args:
        url: ``redis://``, ``rediss://``, ``redis+cluster://``, ``rediss+cluster://`` or ``unix://``; redis-py's query
            options (``?ssl_ca_certs=...``) work.

    Raises:
        DataError: If this is no such URL, or a cluster cannot be reached.
    """
    scheme = url.partition("://")[0]
    try:
        if scheme in _CLUSTER_SCHEMES:
            return redis.RedisCluster.from_url(url.replace(scheme, _CLUSTER_SCHEMES[scheme], 1), protocol=2)
        return redis.Redis.from_url(url, protocol=2)
    except ValueError as error:
        raise DataError(
            "--redis is no URL of Redis, expected redis://, rediss://, redis+cluster:// or unix://"
        ) from error
    except (RedisError, RedisClusterException, OSError) as error:
        raise unreachable(error) from error


def asked(ask: Any) -> Any:
    """Return what ``ask()`` returns.

    Raises:
        DataError: If Redis does not answer, or refuses.
    """
    try:
        return ask()
    except (RedisError, RedisClusterException, OSError) as error:
        raise unreachable(error) from error


def unreachable(error: Exception) -> DataError:
    """Return the error for a Redis that does not answer."""
    return DataError(
        f"what the service keeps cannot be read from Redis ({type(error).__name__}); run the command again to go on"
    )
