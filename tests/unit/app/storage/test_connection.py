"""URLs and TLS files of Redis."""

from __future__ import annotations

import pytest

from app.errors import InvalidSetting
from app.storage.connection import RedisOptions, open_redis


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("", "has no scheme"),
        ("user:secret@host:6379", r"^SEQRANK_REDIS_URL has no scheme, expected one of redis://"),
        ("localhost:6379", "expected one of redis://"),
        ("http://localhost", "begins with 'http'"),
        ("unix://", "names no socket"),
        ("redis://:s3cret@localhost:notaport/0", "cannot be parsed"),
        ("redis+cluster://:s3cret@localhost:notaport", "cannot be parsed"),
        ("redis://:s3cret@localhost/prod", "is not the number of a database"),
        ("redis+cluster://:s3cret@localhost/1", "is not the number of a database [(]0 on a cluster[)]"),
        ("redis://:12/s3cret@localhost", "is not the number of a database"),
        ("redis://:12#s3cret@localhost", "has options behind [?] or #"),
        ("redis://localhost?ssl_cert_reqs=s3cret", "has options behind [?] or #"),
        ("redis+cluster://localhost?protocol=3", "has options behind [?] or #"),
        ("unix:///tmp/redis.sock?db=0&password=s3cret", "has options behind [?] or #"),
        ("redis://:s3cret@a..b:6379", "cannot be parsed"),
        ("redis://:s3cret@[::1:6379", "cannot be parsed"),
    ],
)
async def test_a_wrong_url_is_a_sentence_that_does_not_repeat_it(url, sentence):
    """The message says what is expected, and never shows a password."""
    with pytest.raises(InvalidSetting, match=sentence) as failure:
        async with open_redis(RedisOptions(url=url)):
            pass
    assert "s3cret" not in str(failure.value)


@pytest.mark.parametrize(
    ("read_url", "sentence"),
    [
        ("embedded", r"^SEQRANK_REDIS_READ_URL is 'embedded', expected one of redis://, rediss://, unix://, or no"),
        (
            "redis+cluster://localhost",
            r"^SEQRANK_REDIS_READ_URL begins with 'redis\+cluster', expected one of redis://",
        ),
        ("redis://localhost:notaport", "^SEQRANK_REDIS_READ_URL cannot be parsed"),
        ("redis://localhost/?socket_timeout=soon", "^SEQRANK_REDIS_READ_URL cannot be parsed"),
    ],
)
async def test_a_wrong_url_to_read_from_is_named_by_its_own_variable(read_url, sentence):
    """The sentence names the variable that is wrong, and offers nothing that it does not take."""
    with pytest.raises(InvalidSetting, match=sentence):
        async with open_redis(RedisOptions(url="redis://localhost", read_url=read_url)):
            pass


async def test_a_missing_tls_file_is_a_sentence(tmp_path):
    """A certificate authority that is not there is named before anything connects."""
    with pytest.raises(InvalidSetting, match="TLS files for Redis cannot be used"):
        async with open_redis(RedisOptions(url="rediss://localhost", tls_ca_file=str(tmp_path / "missing.pem"))):
            pass


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost:1/0",
        "redis://user:p%2Fa%3Fs%23s@[::1]:1/?db=3",
        "unix:///tmp/nobody.sock",
        "unix://user:pass@/tmp/nobody.sock?db=3",
        "redis+cluster://localhost:1",
    ],
)
async def test_opening_asks_redis_nothing(url):
    """A Redis that is down is no reason not to start."""
    async with open_redis(RedisOptions(url=url)) as opened:
        assert opened.is_cluster == url.startswith("redis+cluster")
