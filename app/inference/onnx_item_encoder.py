"""Turns item texts into item vectors with the bundle's tokenizer and encoder graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from tokenizers import Tokenizer

from app.contract import tensors
from app.contract.item_text import plain_text
from app.contract.manifest import ITEM_ENCODER_FILE, TOKENIZER_FILE
from app.errors import BundleError, ScoringFailed
from app.inference.onnx_session import TensorSpec, open_session

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tokenizers import Encoding

    from app.contract.tensors import Float32Array, Int64Array
    from app.inference.provider import Provider

TOKENS_PER_RUN: Final = {"cpu": 256, "cuda": 8_192}
"""Padded tokens of one run, on a CPU for each thread: what every layer passes on then stays in a core's own cache.

Measured with MiniLM in ``docs/results/encoder-speed.md``; the figure for CUDA is a guess.
"""

_INPUTS: Final = (
    TensorSpec(tensors.INPUT_IDS, ("tensor(int64)",), 2),
    TensorSpec(tensors.ATTENTION_MASK, ("tensor(int64)",), 2),
)
_OUTPUTS: Final = (TensorSpec(tensors.ITEM_VECTORS, ("tensor(float)",), 2),)


class OnnxItemEncoder:
    """The tokenizer and the encoder session; safe to call from any number of threads at once."""

    def __init__(self, bundle: Path, *, provider: Provider, max_tokens: int, threads: int = 1) -> None:
        """Open ``tokenizer.json`` and ``item_encoder.onnx`` of ``bundle``.

        Args:
            bundle: The folder.
            provider: What to run on.
            max_tokens: Longer texts are cut to this many tokens.
            threads: Threads of one run.

        Raises:
            BundleError: If the tokenizer or the graph cannot be loaded, or the graph's tensors differ.
            ProviderUnavailable: If the session got another provider.
        """
        self._tokenizer = _open_tokenizer(bundle / TOKENIZER_FILE, max_tokens)
        self._session = open_session(
            bundle / ITEM_ENCODER_FILE, provider, threads=threads, inputs=_INPUTS, outputs=_OUTPUTS
        )
        self._tokens_per_run = TOKENS_PER_RUN[provider.name] * (threads if provider.name == "cpu" else 1)
        padding = self._tokenizer.token_to_id("[PAD]")
        self._padding_id = 0 if padding is None else padding

    def encode(self, texts: Sequence[str]) -> Float32Array:
        """Return ``float32[N, D]``, one vector a text, in order.

        Texts of similar length share a run, so little of it is padding. A vector does not depend on the other texts
        beyond rounding.

        Raises:
            ScoringFailed: If the graph failed, or a vector is not finite.
        """
        encodings = self._tokenizer.encode_batch_fast([plain_text(text) for text in texts])
        vectors_ND: Float32Array | None = None
        for positions in _buckets(encodings, self._tokens_per_run):
            ids_NT, mask_NT = self._pack([encodings[position] for position in positions])
            found_ND = self._run(ids_NT, mask_NT)
            if vectors_ND is None:
                vectors_ND = np.empty((len(encodings), found_ND.shape[1]), np.float32)
            vectors_ND[positions] = found_ND
        if vectors_ND is None:
            return np.empty((0, self._width()), np.float32)
        if not np.isfinite(vectors_ND).all():
            position = int(np.flatnonzero(~np.isfinite(vectors_ND).all(axis=1))[0])
            raise ScoringFailed(f"the vector of text {position} of {len(texts)} is not finite")
        return vectors_ND

    def _pack(self, encodings: list[Encoding]) -> tuple[Int64Array, Int64Array]:
        """Pad to the longest; a text without any token becomes one padding token that is read."""
        width = max(1, *(len(encoding) for encoding in encodings))
        ids_NT = np.full((len(encodings), width), self._padding_id, np.int64)
        mask_NT = np.zeros((len(encodings), width), np.int64)
        for row, encoding in enumerate(encodings):
            length = len(encoding)
            ids_NT[row, :length] = encoding.ids
            mask_NT[row, : max(1, length)] = 1
        return ids_NT, mask_NT

    def _run(self, ids_NT: Int64Array, mask_NT: Int64Array) -> Float32Array:
        feeds = {tensors.INPUT_IDS: ids_NT, tensors.ATTENTION_MASK: mask_NT}
        try:
            vectors_ND: Float32Array = self._session.run((tensors.ITEM_VECTORS,), feeds)[0]
        except Exception as error:
            raise ScoringFailed(f"the encoder failed on {ids_NT.shape} tokens: {str(error)[:300]}") from error
        if vectors_ND.ndim != 2 or len(vectors_ND) != len(ids_NT):  # noqa: PLR2004 -- two axes
            raise ScoringFailed(f"the encoder answered {vectors_ND.shape} for {len(ids_NT)} texts")
        return vectors_ND

    def _width(self) -> int:
        width = self._session.get_outputs()[0].shape[1]
        return width if isinstance(width, int) else 0


def _buckets(encodings: Sequence[Encoding], tokens_per_run: int) -> Iterator[list[int]]:
    """Yield positions, shortest texts first, so that each bucket padded to its longest has few tokens."""
    order = sorted(range(len(encodings)), key=lambda position: len(encodings[position]))
    bucket: list[int] = []
    for position in order:
        if bucket and (len(bucket) + 1) * max(1, len(encodings[position])) > tokens_per_run:
            yield bucket
            bucket = []
        bucket.append(position)
    if bucket:
        yield bucket


def _open_tokenizer(path: Path, max_tokens: int) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.enable_truncation(max_length=max_tokens)
    except Exception as error:
        raise BundleError(f"{path.name} cannot be loaded as a tokenizer: {str(error)[:300]}") from error
    tokenizer.no_padding()
    return tokenizer
