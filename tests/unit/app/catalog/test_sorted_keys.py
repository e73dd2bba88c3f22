"""Keys and their numbers."""

from __future__ import annotations

import numpy as np
import pytest

from app.catalog.sorted_keys import SortedKeys


@pytest.mark.parametrize("count", [0, 1, 2, 3, 1000, 70_000])
def test_every_key_has_its_number_and_no_other_key_has_one(count):
    """Key n has number n + 1; keys that are not there have 0, at both ends of the range too."""
    random = np.random.default_rng(count)
    keys = np.unique(random.integers(0, 2**64, count, dtype=np.uint64))
    random.shuffle(keys)
    found = SortedKeys(keys)
    assert found.unique
    np.testing.assert_array_equal(found.numbers_of(keys), np.arange(1, len(keys) + 1))
    others = np.setdiff1d(np.array([0, 1, 2**63, 2**64 - 1, 12345], np.uint64), keys)
    assert not found.numbers_of(others).any()
    assert found.numbers_of(np.empty(0, np.uint64)).dtype == np.int64


def test_keys_that_fall_unevenly_are_found_too():
    """Keys with the same upper bits cost time, not truth."""
    keys = np.arange(500, dtype=np.uint64)
    np.testing.assert_array_equal(SortedKeys(keys).numbers_of(keys[::-1]), np.arange(500, 0, -1))


def test_a_key_that_occurs_twice_is_told():
    """`unique` is False, wherever the two stand."""
    assert not SortedKeys(np.array([7, 1, 7], np.uint64)).unique
