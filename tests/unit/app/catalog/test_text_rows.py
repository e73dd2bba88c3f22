"""Rows of texts without an item."""

from __future__ import annotations

import numpy as np

from app.catalog.text_rows import TextRows


def rows(*numbers):
    """Return an array of rows."""
    return np.array(numbers)


def test_known_texts_are_not_missing():
    """A remembered text has its row; the others are missing once each, in order."""
    texts = TextRows(capacity=10)
    texts.remember(["a", "b"], rows(5, 6))
    assert texts.missing(["c", "a", "c", "d"]) == ["c", "d"]
    assert texts.rows_of(["b", "a", "b"]).tolist() == [6, 5, 6]


def test_the_text_not_used_for_longest_goes_first():
    """Using a text keeps it; the forgotten one's row is given back."""
    texts = TextRows(capacity=2)
    texts.remember(["a", "b"], rows(5, 6))
    texts.rows_of(["a"])
    assert texts.remember(["c"], rows(7)) == [6]
    assert texts.missing(["a", "b", "c"]) == ["b"]
    assert len(texts) == 2


def test_a_text_encoded_twice_keeps_its_first_row():
    """When two requests brought the same new text, the second row is given back."""
    texts = TextRows(capacity=2)
    texts.remember(["a"], rows(5))
    assert texts.remember(["a"], rows(6)) == [6]
    assert texts.rows_of(["a"]).tolist() == [5]


def test_more_texts_than_fit_give_back_the_first():
    """One call with more texts than the capacity leaves the last ones."""
    texts = TextRows(capacity=2)
    assert texts.remember(["a", "b", "c"], rows(1, 2, 3)) == [1]
