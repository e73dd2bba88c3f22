"""No behaviour of others at all: items whose words are those of the user's latest items."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.contract.tensors import Float32Array, Int64Array
    from model_export.data.dataset import Dataset
    from model_export.evaluation.questions import Questions

_WORD: Final = re.compile(r"\w+")


class TextSimilarity:
    """Scores an item by the tf-idf cosine of its text with a profile of the visible history, latest items first."""

    name = "text similarity"

    def __init__(self, words_NW: sparse.csr_array, decay: float) -> None:
        self._words_NW = words_NW
        self._words_WN = words_NW.T.tocsr()
        self._decay = decay

    @classmethod
    def fit(cls, data: Dataset, ends_U: Int64Array, *, decay: float) -> TextSimilarity:
        """Weigh the words of all item texts.

        Args:
            data: The items; the events are not looked at.
            ends_U: Not looked at.
            decay: How much less an event weighs than the one after it, 0..1; 1 weighs all alike.
        """
        del ends_U
        return cls(tf_idf(data.item_texts()), decay)

    def scores(self, questions: Questions) -> Float32Array:
        """Return the similarity of each profile with every item."""
        positions, rows = questions.visible_rows()
        lengths = np.bincount(positions, minlength=len(questions))
        newest_first = np.repeat(np.cumsum(lengths), lengths) - 1 - np.arange(len(positions))
        weights = (self._decay**newest_first).astype(np.float32)
        shape = (len(questions), self._words_NW.shape[0])
        profile_BW = sparse.csr_array((weights, (positions, rows)), shape=shape) @ self._words_NW
        scores_BN: Float32Array = (profile_BW @ self._words_WN).toarray()
        return scores_BN


def tf_idf(texts: Sequence[str]) -> sparse.csr_array:
    """Return ``float32[N + 1, W]``, rows of unit length: (1 + log count) * log(N / texts with the word); row 0 is 0."""
    vocabulary: dict[str, int] = {}
    rows: list[int] = []
    columns: list[int] = []
    counts: list[int] = []
    for row, text in enumerate(texts, start=1):
        for word, count in Counter(_WORD.findall(text.lower())).items():
            rows.append(row)
            columns.append(vocabulary.setdefault(word, len(vocabulary)))
            counts.append(count)
    shape = (len(texts) + 1, max(len(vocabulary), 1))
    texts_with_word = np.bincount(np.asarray(columns, np.int64), minlength=shape[1])
    rarity_W = np.log((1 + len(texts)) / (1 + texts_with_word)) + 1.0
    weights = (1.0 + np.log(np.asarray(counts, np.float64))) * rarity_W[np.asarray(columns, np.int64)]
    matrix = sparse.csr_array((weights, (rows, columns)), shape=shape)
    length_N = np.sqrt(matrix.multiply(matrix).sum(axis=1))
    scaled = sparse.diags_array(1.0 / np.where(length_N > 0, length_N, 1.0)) @ matrix
    return sparse.csr_array(scaled.astype(np.float32))
