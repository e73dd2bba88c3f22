"""Texts as token ids, tokenised once and batched by length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from app.contract.item_text import plain_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tokenizers import Tokenizer

    from app.contract.tensors import Int64Array

_TEXTS_AT_ONCE: Final = 8192


@dataclass(frozen=True, slots=True)
class TextTokens:
    """The token ids of N texts, flat.

    Attributes:
        ids: ``int64[sum of lengths]`` token ids, text after text.
        offsets: ``int64[N + 1]``: the tokens of text n are ``offsets[n] : offsets[n + 1]``.
        pad_id: The id that stands after the last token of a text in a batch.
    """

    ids: Int64Array
    offsets: Int64Array
    pad_id: int

    def __len__(self) -> int:
        """Return N."""
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Int64Array:
        """``int64[N]`` tokens of each text."""
        return np.diff(self.offsets)

    def batch(self, positions: Int64Array) -> tuple[Int64Array, Int64Array]:
        """Return ``(input_ids, attention_mask)``, int64[n, T] with T the longest of these texts, at least 1.

        >>> tokens = TextTokens(np.array([7, 8, 9]), np.array([0, 1, 3]), pad_id=0)
        >>> tokens.batch(np.array([0, 1]))
        (array([[7, 0],
               [8, 9]]), array([[1, 0],
               [1, 1]]))
        """
        starts, lengths = self.offsets[positions], self.lengths[positions]
        steps_T = np.arange(max(int(lengths.max(initial=0)), 1))
        mask_NT = steps_T < lengths[:, None]
        input_ids_NT = np.full(mask_NT.shape, self.pad_id, np.int64)
        input_ids_NT[mask_NT] = self.ids[(starts[:, None] + steps_T)[mask_NT]]
        return input_ids_NT, mask_NT.astype(np.int64)


def tokenize(texts: Sequence[str], tokenizer: Tokenizer) -> TextTokens:
    """Tokenise texts as the service reads them, each cut as the tokenizer says."""
    unpadded = type(tokenizer).from_str(tokenizer.to_str())
    unpadded.no_padding()
    rows: list[Int64Array] = []
    for start in range(0, len(texts), _TEXTS_AT_ONCE):
        clean = [plain_text(text) for text in texts[start : start + _TEXTS_AT_ONCE]]
        rows += [np.asarray(encoding.ids, np.int64) for encoding in unpadded.encode_batch_fast(clean)]
    offsets = np.zeros(len(rows) + 1, np.int64)
    np.cumsum([len(row) for row in rows], out=offsets[1:])
    pad_id = int((tokenizer.padding or {}).get("pad_id", 0))
    return TextTokens(np.concatenate([*rows, np.empty(0, np.int64)]), offsets, pad_id)


def length_buckets(lengths_N: Int64Array, *, tokens_per_batch: int) -> Iterator[Int64Array]:
    """Yield positions of texts of similar length, longest first, each batch at most ``tokens_per_batch`` when padded.

    Longest first, so that a batch that does not fit into memory fails at once.

    >>> [batch.tolist() for batch in length_buckets(np.array([2, 9, 3]), tokens_per_batch=10)]
    [[1], [2, 0]]
    """
    order = np.argsort(-lengths_N, kind="stable")
    start = 0
    while start < len(order):
        width = max(int(lengths_N[order[start]]), 1)
        size = max(tokens_per_batch // width, 1)
        yield order[start : start + size]
        start += size
