"""Says what is wrong with a Redis URL, without a Redis client."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qs, urlsplit

from app.errors import InvalidSetting

EMBEDDED: Final = "embedded"
"""The URL that stands for a server of our own."""

CLUSTER_SCHEMES: Final = {"redis+cluster": "redis", "rediss+cluster": "rediss"}
_DATABASE: Final = re.compile(r"/?|/\d+")
_ONLY_DATABASE: Final = re.compile(r"/?|/0")
PLAIN_SCHEMES: Final = ("redis", "rediss", "unix")

URL_SETTING: Final = "SEQRANK_REDIS_URL"
READ_URL_SETTING: Final = "SEQRANK_REDIS_READ_URL"


def check_urls(url: str, read_url: str) -> None:
    """Check what the two settings hold; on a cluster the second is not read as a URL, any value means replicas.

    Raises:
        InvalidSetting: It names the variable, and never repeats more of a URL than its scheme, for it may hold a
            password.
    """
    if url != EMBEDDED:
        _check(url, URL_SETTING, (*PLAIN_SCHEMES, *CLUSTER_SCHEMES), otherwise="or the word embedded")
    if read_url and not is_cluster(url):
        _check(read_url, READ_URL_SETTING, PLAIN_SCHEMES, otherwise=f"or no value to read from {URL_SETTING}")


def is_cluster(url: str) -> bool:
    """Return whether the URL names a cluster."""
    return url.partition("://")[0] in CLUSTER_SCHEMES


def uses_tls(url: str) -> bool:
    """Return whether the URL asks for TLS."""
    return url.startswith("rediss")


def not_parsed(setting: str) -> InvalidSetting:
    """Return the error for a URL of a good scheme that makes no sense."""
    return InvalidSetting(f"{setting} cannot be parsed, expected scheme://user:password@host:port/db")


def _check(url: str, setting: str, schemes: tuple[str, ...], *, otherwise: str) -> None:
    scheme, found, rest = url.partition("://")
    if not found or scheme not in schemes:
        # the word that stands for our own server is no secret
        given = f"begins with {scheme[:20]!r}" if found else f"is {url!r}" if url == EMBEDDED else "has no scheme"
        expected = ", ".join(f"{name}://" for name in schemes)
        raise InvalidSetting(f"{setting} {given}, expected one of {expected}, {otherwise}")
    try:
        parts = urlsplit(url)
        _ = parts.port
        (parts.hostname or "").encode("idna")
    except ValueError as error:
        raise not_parsed(setting) from error
    if parts.fragment or not set(parse_qs(parts.query, keep_blank_values=True)) <= {"db"}:
        # redis-py would take them for options of its own, of which the rank path's reader knows nothing
        raise InvalidSetting(
            f"{setting} cannot be parsed: it has options behind ? or #, expected none but db; SEQRANK_REDIS_* "
            "variables set timeouts and TLS, and a password's / ? # are written %2F %3F %23"
        )
    if scheme == "unix":
        if not rest.rpartition("@")[2].partition("?")[0]:
            raise InvalidSetting(f"{setting} names no socket, expected unix:///path/of.sock")
    elif not (_ONLY_DATABASE if is_cluster(url) else _DATABASE).fullmatch(parts.path):
        raise InvalidSetting(
            f"{setting} cannot be parsed: what stands behind host:port is not the number of a database (0 on a cluster)"
        )
