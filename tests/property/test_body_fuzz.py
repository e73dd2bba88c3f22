"""Mutated bodies against the whole application."""

from __future__ import annotations

import pytest

from bench.body_fuzz import fuzz, wrong_about


async def test_mutated_bodies_have_documented_answers(tmp_path):
    """Of 1,000 mutated bodies each gets a list, an acknowledgement or a named mistake."""
    counts, surprises = await fuzz(tmp_path, bodies=1000, seed=3)
    assert surprises == []
    assert sum(counts.values()) == 1000
    assert min(counts["/rank 200"], counts["/feedback 200"], counts["/rank 422"]) > 10


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (500, b'{"error":"no","error_type":"internal"}'),
        (422, b'{"detail":"no"}'),
        (200, b'{"items":[{"rank":2,"score":1.0}]}'),
        (200, b'{"items":[{"rank":1,"score":NaN}]}'),
        (200, b'{"items":[{"rank":1,"score":null},{"rank":2,"score":1.0}]}'),
    ],
)
def test_an_answer_that_no_page_promises_is_noticed(status, answer):
    """A server error, an error without a name, wrong ranks and strange scores are surprises."""
    assert wrong_about(status, answer)
