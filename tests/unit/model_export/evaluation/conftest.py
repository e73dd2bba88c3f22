"""A small generated shop, and scorers whose scores are given."""

import numpy as np
import pyarrow as pa
import pytest

from model_export.data.dataset import Dataset
from model_export.data.splits import leave_one_out
from model_export.evaluation.questions import Questions


def dataset_of(histories, *, item_count, texts=None) -> Dataset:
    """Return a dataset of lists of item rows, one a user, an hour between events."""
    lengths = [len(history) for history in histories]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    event_count = int(offsets[-1])
    within = np.arange(event_count) - np.repeat(offsets[:-1], lengths)
    return Dataset(
        items=pa.table(
            {
                "item_id": [f"i{row}" for row in range(1, item_count + 1)],
                "text": texts or [f"thing number{row}" for row in range(1, item_count + 1)],
            }
        ),
        user_ids=[f"u{user}" for user in range(len(histories))],
        actions=("view",),
        user_offsets=offsets,
        rows=np.array([row for history in histories for row in history], np.int64),
        action_ids=np.zeros(event_count, np.int64),
        timestamps_ms=1_700_000_000_000 + 3_600_000 * within.astype(np.int64),
        ratings=np.full(event_count, np.nan, np.float32),
        fingerprint="generated",
    )


class GivenScores:
    """A scorer that answers user u with row u of a matrix."""

    name = "given"

    def __init__(self, scores_UN) -> None:
        self.scores_UN = np.asarray(scores_UN, np.float32)

    def scores(self, questions: Questions):
        """Return the rows of the asked users."""
        return self.scores_UN[questions.targets.users]


@pytest.fixture(scope="session")
def make_dataset():
    """Return the dataset builder."""
    return dataset_of


@pytest.fixture(scope="session")
def given_scores():
    """Return the scorer class."""
    return GivenScores


@pytest.fixture(scope="session")
def taste_shop():
    """Return a shop of 60 items in 6 groups where each of 300 users stays in one group, and its split."""
    rng = np.random.default_rng(3)
    histories = []
    for user in range(300):
        group = user % 6
        histories.append((1 + group * 10 + rng.permutation(10)[: rng.integers(4, 9)]).tolist())
    texts = [f"item {row} of group{(row - 1) // 10}" for row in range(1, 61)]
    data = dataset_of(histories, item_count=60, texts=texts)
    return data, leave_one_out(data)
