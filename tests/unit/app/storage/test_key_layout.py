"""Names of keys."""

from __future__ import annotations

import pytest

from app.contract.event_log import LOG_PARTITIONS, partition_of
from app.storage.key_layout import KeyLayout


def hash_tag_of(key: bytes) -> bytes:
    """Return what Redis Cluster hashes: between the first brace and the next closing one, unless that is empty."""
    start = key.find(b"{")
    end = key.find(b"}", start + 1)
    return key[start + 1 : end] if start >= 0 and end > start + 1 else key


@pytest.mark.parametrize("user", ["ann", "{", "}", "{}", "a}b{c", "", "\ud800", "x" * 256])
def test_all_keys_of_a_user_have_one_hash_tag(user):
    """Whatever the id holds, the cluster hashes the partition."""
    keys = KeyLayout().of_user(user)
    tags = {hash_tag_of(key) for key in (keys.packed, keys.details, keys.log, keys.catalog_version)}
    assert tags == {f"p{partition_of(user)}".encode()}


def test_users_spread_over_all_partitions():
    """Ten thousand users reach every partition, none with more than twice its share."""
    counts = [0] * LOG_PARTITIONS
    for number in range(10_000):
        counts[partition_of(f"user-{number}")] += 1
    assert min(counts) > 0
    assert max(counts) < 2 * 10_000 / LOG_PARTITIONS


def test_without_a_secret_the_token_is_the_id():
    """Keys are readable by default."""
    assert KeyLayout().token_of("ann") == "ann"
    assert KeyLayout().of_user("ann").packed.endswith(b":h:ann")


def test_with_a_secret_the_token_depends_on_secret_and_user_only():
    """The same secret gives the same token in another process; another secret or user another one."""
    token = KeyLayout(user_secret="one").token_of("ann")
    assert token == KeyLayout(user_secret="one").token_of("ann")
    assert len({token, KeyLayout(user_secret="two").token_of("ann"), KeyLayout(user_secret="one").token_of("bob")}) == 3
    assert len(token) == 32
    assert b"ann" not in KeyLayout(user_secret="one").of_user("ann").packed


def test_there_is_a_copy_of_the_version_for_every_partition():
    """Each copy is named once."""
    assert len(set(KeyLayout().catalog_versions())) == LOG_PARTITIONS
