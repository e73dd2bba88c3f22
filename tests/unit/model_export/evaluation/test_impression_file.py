"""Impressions from prepared data."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model_export.data.impressions import IMPRESSIONS_SCHEMA
from model_export.errors import DataError
from model_export.evaluation.impression_file import read_impressions


@pytest.fixture
def folder(tmp_path):
    """Write three impressions: one of train, one labelled and one unlabelled of dev."""
    rows = [
        {"part": "train", "history": ["i1"], "candidates": ["i2", "i3"], "clicked": [True, False]},
        {"part": "dev", "history": ["i1", "x", "i4"], "candidates": ["i2", "x", "i3"], "clicked": [False, True, True]},
        {"part": "dev", "history": [], "candidates": ["i2"], "clicked": [None]},
    ]  # fmt: skip
    filled = [{"impression_id": "1", "user_id": "u", "timestamp": 5000, **row} for row in rows]
    pq.write_table(pa.Table.from_pylist(filled, IMPRESSIONS_SCHEMA), tmp_path / "impressions.parquet")
    return tmp_path


def test_labelled_impressions_of_the_part_are_read(folder, make_dataset) -> None:
    """Only the labelled impression of the part comes, without the items that the data lacks."""
    found = list(read_impressions(folder, make_dataset([[1, 2, 3]], item_count=4), "dev", after_ms=0))
    assert len(found) == 1
    assert found[0].history_rows_H.tolist() == [1, 4]
    assert found[0].candidate_rows_C.tolist() == [2, 3]
    assert found[0].clicked_C.tolist() == [False, True]
    assert found[0].asked_at_ms == 5000


def test_a_part_without_labels_is_an_error(folder, make_dataset) -> None:
    """Asking for a part that is not there says so."""
    with pytest.raises(DataError, match="no labelled impression of part 'test'"):
        list(read_impressions(folder, make_dataset([[1, 2, 3]], item_count=4), "test", after_ms=0))


def test_data_without_impressions_says_so(tmp_path, make_dataset) -> None:
    """Formats that do not know what was shown cannot be measured like that."""
    with pytest.raises(DataError, match=r"no impressions\.parquet"):
        list(read_impressions(tmp_path, make_dataset([[1, 2, 3]], item_count=4), "dev", after_ms=0))


def test_impressions_whose_clicks_may_have_been_trained_on_are_left_out(folder, make_dataset) -> None:
    """What was shown before the last trained event does not count; if nothing else is there, that is said."""
    data = make_dataset([[1, 2, 3]], item_count=4)
    assert len(list(read_impressions(folder, data, "dev", after_ms=4999))) == 1
    with pytest.raises(DataError, match="all 1 labelled impressions of part 'dev' are from before the last event"):
        list(read_impressions(folder, data, "dev", after_ms=5000))
