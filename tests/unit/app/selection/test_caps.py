"""Caps on groups."""

import pytest

from app.selection.caps import OpenPlaces


def test_a_full_group_closes() -> None:
    """Once a label has its share, later candidates with it are passed over."""
    places = OpenPlaces({"category": ["a", "a", "a", "b", "a"]}, {"category": 2}, count=5)
    assert places.fill(range(5), 4) == [0, 1, 3]


def test_several_columns_hold_together() -> None:
    """A candidate enters only if none of its groups is full, and only those taken count."""
    places = OpenPlaces(
        {"category": ["a", "a", "b", "b"], "brand": ["x", "y", "x", "y"]}, {"category": 1, "brand": 1}, count=4
    )
    assert places.fill(range(4), 4) == [0, 3]


def test_no_label_no_cap() -> None:
    """Candidates with an empty label are in no group."""
    assert OpenPlaces({"category": ["", "", ""]}, {"category": 1}, count=3).fill(range(3), 3) == [0, 1, 2]


def test_nothing_is_taken_twice() -> None:
    """A candidate that was taken is no longer open."""
    places = OpenPlaces({}, {}, count=3)
    places.take(1)
    assert places.fill(range(3), 3) == [0, 2]


def test_labels_are_counted() -> None:
    """A column with another number of labels than candidates is an error that names it."""
    with pytest.raises(ValueError, match="category has 1 labels, expected one for each of 2"):
        OpenPlaces({"category": ["a"]}, {"category": 1}, count=2)


def test_caps_below_one_are_refused() -> None:
    """A cap of 0 is an error."""
    with pytest.raises(ValueError, match="max_per of category is 0"):
        OpenPlaces({"category": ["a"]}, {"category": 0}, count=1)
