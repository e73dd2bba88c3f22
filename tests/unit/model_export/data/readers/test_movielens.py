"""MovieLens in its three shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from model_export.data.readers.movielens import film_of

if TYPE_CHECKING:
    from tests.unit.model_export.data.conftest import Prepare

FLAGS = {"Comedy": 5, "Drama": 8}


def _film_100k(number: int, title: str, *genres: str) -> str:
    flags = ["0"] * 19
    for genre in genres:
        flags[FLAGS[genre]] = "1"
    return "|".join([str(number), title, "01-Jan-1995", "", "http://x", *flags])


def test_ml_100k_reads_with_latin_1_titles_and_genre_flags(prepare: Prepare) -> None:
    """u.data and u.item become interactions and readable texts."""
    films = [
        _film_100k(1, "Usual Suspects, The (1995)", "Drama", "Comedy"),
        _film_100k(2, "Misérables, Les (1995)", "Drama"),
        _film_100k(3, "unknown"),
    ]
    files: dict[str, str | bytes] = {
        "u.data": "196\t1\t3\t881250949\n186\t2\t5\t881250940\n186\t3\t1\t881250941\n",
        "u.item": "\n".join(films).encode("latin-1") + b"\n",
    }
    done = prepare("movielens", files)
    assert done.events() == [("186", "2", 881250940000), ("186", "3", 881250941000), ("196", "1", 881250949000)]
    assert [row["rating"] for row in done.interactions()] == [5.0, 1.0, 3.0]
    assert {row["action"] for row in done.interactions()} == {"rate"}
    assert done.texts() == {
        "1": "The Usual Suspects (1995). Comedy, Drama",
        "2": "Les Misérables (1995). Drama",
        "3": "unknown",
    }


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_ml_1m_and_10m_read_in_either_encoding(prepare: Prepare, encoding: str) -> None:
    """*.dat files are told apart by their bytes: ml-1m is Latin-1, ml-10m is UTF-8."""
    films = "1::Cité des enfants perdus, La (1995)::Adventure|Sci-Fi\n2::Heat: A|B (1995)::Action\n"
    files: dict[str, str | bytes] = {
        "ratings.dat": "1::1::5::978300760\n1::2::3.5::978302109\n",
        "movies.dat": films.encode(encoding),
    }
    done = prepare("movielens", files)
    assert done.events() == [("1", "1", 978300760000), ("1", "2", 978302109000)]
    assert done.texts() == {
        "1": "La Cité des enfants perdus (1995). Adventure, Sci-Fi",
        "2": "Heat: A|B (1995). Action",
    }


def test_the_csv_releases_read(prepare: Prepare) -> None:
    """ratings.csv and movies.csv go by their own column names."""
    files: dict[str, str | bytes] = {
        "ratings.csv": "userId,movieId,rating,timestamp\n1,2,3.5,1112486027\n",
        "movies.csv": 'movieId,title,genres\n2,"Piano, The (1995)",Comedy|Drama\n3,Home,(no genres listed)\n',
        "tags.csv": "userId,movieId,tag,timestamp\n",
    }
    done = prepare("movielens", files)
    assert done.events() == [("1", "2", 1112486027000)]
    assert done.texts() == {"2": "The Piano (1995). Comedy, Drama", "3": "Home"}


@pytest.mark.parametrize(
    ("title", "film"),
    [
        ("Toy Story (1995)", ("Toy Story", "1995")),
        ("City of Lost Children, The (Cité, La) (1995)", ("The City of Lost Children (Cité, La)", "1995")),
        ("Hour, L' (2002) ", ("L'Hour", "2002")),
        ("No year", ("No year", "")),
        ("Series (2005-2007)", ("Series", "2005")),
    ],
)
def test_titles_become_readable(title: str, film: tuple[str, str]) -> None:
    """Articles go to the front, the year goes apart."""
    assert film_of(title) == film


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, "is no MovieLens release, expected one of the files u.data, ratings.dat, ratings.csv"),
        ({"u.data": "1\t1\t1\t1\n"}, "has u.data but no u.item, expected both"),
        ({"u.data": "", "u.item": _film_100k(1, "A")}, "u.data is empty, expected rows"),
        ({"u.data": "1\t1\t1\n", "u.item": _film_100k(1, "A")}, "u.data line 1: 3 fields, expected 4"),
        ({"u.data": "1\t1\t1\t9\n", "u.item": "1|A\n"}, "u.item line 1: 2 fields, expected 24"),
        (
            {"u.data": "1\t7\t1\t9\n", "u.item": _film_100k(1, "A")},
            "u.data line 1: the item_id '7' is not in the item file",
        ),
        ({"ratings.dat": "1::1::1\n", "movies.dat": "1::A::B\n"}, "ratings.dat line 1: 3 fields, expected 4"),
        (
            {"ratings.csv": "userId,movieId,rating\n1,1,1\n", "movies.csv": "movieId,title,genres\n1,A,B\n"},
            "ratings.csv has no column 'timestamp'",
        ),
        (
            {"ratings.csv": "userId,movieId,rating,timestamp\n1,1,1,1\n", "movies.csv": "movieId,title\n1,A\n"},
            "movies.csv has no column 'genres'",
        ),
    ],
)
def test_what_is_wrong_with_movielens_is_one_clear_sentence(
    prepare: Prepare, files: dict[str, str | bytes], sentence: str
) -> None:
    """Wrong input ends with code 2, a sentence, and nothing written."""
    done = prepare("movielens", files)
    assert done.code == 2
    assert sentence in done.said
