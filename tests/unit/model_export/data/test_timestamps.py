"""Times as people write them."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest

from model_export.data.timestamps import LATEST_MS, NONSENSE, epoch_ms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("881250949", 881250949000),
        ("881250949.25", 881250949250),
        ("8.8e8", 880000000000),
        ("1588687728923", 1588687728923),
        ("1588687728923456", 1588687728923),
        ("1588687728923456789", 1588687728923),
        ("0", 0),
        ("2020-01-02", 1577923200000),
        ("2020-01-02T03:04:05Z", 1577934245000),
        ("2020-01-02 03:04:05.678", 1577934245678),
        ("2020-01-02T04:04:05+01:00", 1577934245000),
        (" 881250949 ", 881250949000),
    ],
)
def test_times_are_told_by_their_size_or_read_as_iso(text: str, expected: int) -> None:
    """Seconds, ms, µs and ns by size; else ISO 8601, UTC without a zone; alone and beside other kinds."""
    assert epoch_ms(pa.array([text])).tolist() == [expected]
    assert epoch_ms(pa.array([text, "2020-01-02", "7"])).tolist() == [expected, 1577923200000, 7000]


@pytest.mark.parametrize(
    "text", ["", " ", "soon", "-1", "nan", "inf", "1e30", "5000000000", "2101-01-01", "1969-12-31", "20200102T99", None]
)
def test_nonsense_is_nonsense(text: str | None) -> None:
    """What is no time between 1970 and 2100 is marked, its neighbours are read."""
    assert epoch_ms(pa.array([text, "7"], pa.string())).tolist() == [NONSENSE, 7000]


def test_numbers_and_arrow_times_keep_their_precision() -> None:
    """Integers are exact; Arrow timestamps and dates convert; null is nonsense."""
    assert epoch_ms(pa.array([1588687728923, None])).tolist() == [1588687728923, NONSENSE]
    assert epoch_ms(pa.array([1.5, float("nan")])).tolist() == [1500, NONSENSE]
    moment = dt.datetime(2020, 1, 2, tzinfo=dt.UTC)
    assert epoch_ms(pa.array([moment, None])).tolist() == [1577923200000, NONSENSE]
    assert epoch_ms(pa.array([moment.date()])).tolist() == [1577923200000]


@pytest.mark.parametrize(("unit", "expected"), [("s", 7_000_000_000), ("ms", 7_000_000), ("us", 7_000), ("ns", 7)])
def test_a_unit_that_is_given_is_not_guessed(unit: str, expected: int) -> None:
    """--time-unit overrides the rule of sizes."""
    assert epoch_ms(pa.array([7_000_000]), unit=unit).tolist() == [expected]


def test_the_end_of_time_is_2100() -> None:
    """The first millisecond of 2100 is refused, the one before is not."""
    assert epoch_ms(pa.array([LATEST_MS - 1, LATEST_MS])).tolist() == [LATEST_MS - 1, NONSENSE]
