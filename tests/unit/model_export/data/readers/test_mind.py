"""The news data set MIND."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

if TYPE_CHECKING:
    from tests.unit.model_export.data.conftest import Prepare

NEWS = "\n".join(f"N{n}\tsports\tgolf\tTitle {n}\tAbstract {n}.\thttp://x\t[]\t[]" for n in range(1, 7)) + "\n"
BEHAVIORS = (
    "1\tU1\t11/12/2019 9:05:58 AM\tN1 N2\tN3-1 N4-0\n"
    "2\tU1\t11/11/2019 9:00:00 PM\tN1 N2\tN5-0 N6-1\n"
    "3\tU2\t11/13/2019 12:00:00 AM\t\tN1-0 N2-1\n"
)
NINE_PM_MS = 1573506000000


def test_history_and_clicks_become_interactions(prepare: Prepare) -> None:
    """A history counts once, a second a click before the first impression; clicks have their impression's time."""
    done = prepare("mind", {"behaviors.tsv": BEHAVIORS, "news.tsv": NEWS})
    assert done.events() == [
        ("U1", "N1", NINE_PM_MS - 2000),
        ("U1", "N2", NINE_PM_MS - 1000),
        ("U1", "N6", NINE_PM_MS),
        ("U1", "N3", 1573549558000),
        ("U2", "N2", 1573603200000),
    ]
    assert {row["action"] for row in done.interactions()} == {"click"}
    assert done.texts()["N1"] == "Title 1. golf. Abstract 1."
    assert done.items()[0]["category"] == "sports"


def test_impressions_are_kept(prepare: Prepare) -> None:
    """impressions.parquet has what was shown, what was clicked, and when."""
    done = prepare("mind", {"behaviors.tsv": BEHAVIORS, "news.tsv": NEWS})
    first = pq.read_table(done.folder / "impressions.parquet").to_pylist()[0]
    assert first == {
        "part": "",
        "impression_id": "1",
        "user_id": "U1",
        "timestamp": 1573549558000,
        "history": ["N1", "N2"],
        "candidates": ["N3", "N4"],
        "clicked": [True, False],
    }


def test_several_parts_are_read_together(prepare: Prepare) -> None:
    """Folders below the input are parts; news that an earlier part has are no duplicates."""
    files: dict[str, str | bytes] = {
        "train/behaviors.tsv": BEHAVIORS,
        "train/news.tsv": NEWS,
        "dev/behaviors.tsv": "9\tU3\t11/15/2019 1:00:00 PM\tN1\tN7-1\n",
        "dev/news.tsv": NEWS + "N7\tnews\tworld\tTitle 7\t\tx\t[]\t[]\n",
    }
    done = prepare("mind", files)
    assert [user for user, _, _ in done.events()].count("U3") == 2
    assert len(done.items()) == 7
    parts = pq.read_table(done.folder / "impressions.parquet").column("part").to_pylist()
    assert parts == ["dev", "train", "train", "train"]


def test_impressions_without_labels_have_none(prepare: Prepare) -> None:
    """The held-back test part has candidates only: no clicks come of it."""
    done = prepare("mind", {"behaviors.tsv": "1\tU1\t11/12/2019 9:05:58 AM\tN1 N2\tN3 N4\n", "news.tsv": NEWS})
    assert len(done.events()) == 2
    assert pq.read_table(done.folder / "impressions.parquet").column("clicked").to_pylist() == [[None, None]]


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, "has no behaviors.tsv, expected it there or in a folder below (MIND)"),
        ({"behaviors.tsv": BEHAVIORS}, "has behaviors.tsv but no news.tsv, expected both"),
        ({"behaviors.tsv": "", "news.tsv": NEWS}, "behaviors.tsv is empty, expected rows"),
        (
            {"behaviors.tsv": "1\tU1\tyesterday\tN1\tN3-1\n", "news.tsv": NEWS},
            "behaviors.tsv line 1: the timestamp 'yesterday' is no time",
        ),
        (
            {"behaviors.tsv": "1\tU1\t11/12/2019 9:05:58 AM\tN1\tN99-1\n", "news.tsv": NEWS},
            "behaviors.tsv line 1: the item_id 'N99' is not in the item file",
        ),
        ({"behaviors.tsv": BEHAVIORS + "4\tU1\n", "news.tsv": NEWS}, "behaviors.tsv line 4: 2 fields, expected 5"),
        ({"behaviors.tsv": BEHAVIORS, "news.tsv": "N1\ta\n"}, "news.tsv line 1: 2 fields, expected 8"),
    ],
)
def test_what_is_wrong_with_mind_is_one_clear_sentence(
    prepare: Prepare, files: dict[str, str | bytes], sentence: str
) -> None:
    """Wrong input ends with code 2, a sentence, and nothing written."""
    done = prepare("mind", files)
    assert done.code == 2
    assert sentence in done.said
