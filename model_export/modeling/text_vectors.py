"""Frozen text vectors of a catalogue: computed once, kept on disk, whitened."""

from __future__ import annotations

import hashlib
import os
import shutil
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from tqdm import tqdm

from app.contract.item_text import plain_text
from model_export.modeling.text_tokens import TextTokens, length_buckets, tokenize
from model_export.modeling.text_tower import mean_over_tokens
from model_export.modeling.text_whitening import Whitening, fit_whitening

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from app.contract.tensors import Float32Array, Int64Array
    from model_export.modeling.encoder_loading import TextEncoder

_CPU: Final = torch.device("cpu")
_TOKENS_PER_BATCH: Final = 2048
_TOKENS_PER_BLOCK: Final = 65536
"""How much is computed between two saves; a killed run loses at most this many tokens of work."""


def whitened_text_vectors(
    texts: Sequence[str],
    encoder: TextEncoder,
    cache_dir: Path,
    *,
    width: int,
    fit_positions: Int64Array | None = None,
    device: torch.device = _CPU,
) -> tuple[Float32Array, Whitening]:
    """Return whitened text vectors of a catalogue, and the whitening.

    The pooled vectors before whitening are cached under ``cache_dir`` by the hash of texts and encoder: the second call
    reads them, and a call after a kill goes on where it stopped.

    Args:
        texts: N texts, in row order.
        encoder: See `load_encoder`; longer texts are cut at its ``max_tokens``.
        cache_dir: Any folder; it is created.
        width: W.
        fit_positions: ``int64[n]`` positions of the training catalogue, which alone shapes the whitening; default all.
        device: Where the encoder runs.

    Returns:
        ``float32[N, W]`` and the `Whitening` that made it, for `TextTower`.
    """
    pooled_NX = pooled_text_vectors(texts, encoder, cache_dir, device=device)
    whitening = fit_whitening(pooled_NX if fit_positions is None else pooled_NX[fit_positions], width=width)
    return whitening.apply(pooled_NX), whitening


def pooled_text_vectors(
    texts: Sequence[str], encoder: TextEncoder, cache_dir: Path, *, device: torch.device = _CPU
) -> Float32Array:
    """Return ``float32[N, hidden]`` mean-pooled vectors, from the cache where they are there."""
    texts = [plain_text(text) for text in texts]
    distinct = sorted(set(texts))
    key = _cache_key(distinct, encoder)
    path = cache_dir / f"text-vectors-{key}.npy"
    if not path.is_file():
        blocks = cache_dir / f"text-vectors-{key}.parts"
        _save(path, _encode(tokenize(distinct, encoder.tokenizer), encoder, blocks, device))
        shutil.rmtree(blocks, ignore_errors=True)
    position_of = {text: position for position, text in enumerate(distinct)}
    vectors: Float32Array = np.load(path)
    return vectors[np.array([position_of[text] for text in texts], np.int64)]


def _cache_key(distinct: Sequence[str], encoder: TextEncoder) -> str:
    digest = hashlib.sha256(encoder.fingerprint().encode())
    for text in distinct:
        raw = text.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "little"))
        digest.update(raw)
    return digest.hexdigest()[:24]


def _encode(tokens: TextTokens, encoder: TextEncoder, blocks: Path, device: torch.device) -> Float32Array:
    """Encode all texts block by block; blocks that are on disk already are read instead."""
    vectors_NX = np.empty((len(tokens), encoder.hidden_width), np.float32)
    home = next(encoder.model.parameters()).device
    encoder.model.to(device).eval()
    with tqdm(total=len(tokens), desc="text vectors", unit="text", disable=None) as progress:
        for number, positions in enumerate(length_buckets(tokens.lengths, tokens_per_batch=_TOKENS_PER_BLOCK)):
            vectors_NX[positions] = _read_or_encode(blocks / f"{number:06d}.npy", tokens, positions, encoder, device)
            progress.update(len(positions))
    encoder.model.to(home)
    return vectors_NX


def _read_or_encode(
    part: Path, tokens: TextTokens, positions: Int64Array, encoder: TextEncoder, device: torch.device
) -> Float32Array:
    """Return a block; another run on the same data may write it, or remove it, at the same time."""
    try:
        block: Float32Array = np.load(part)
    except FileNotFoundError:
        block = _encode_block(tokens, positions, encoder, device)
        _save(part, block)
    return block


@torch.inference_mode()
def _encode_block(
    tokens: TextTokens, positions: Int64Array, encoder: TextEncoder, device: torch.device
) -> Float32Array:
    block = np.empty((len(positions), encoder.hidden_width), np.float32)
    for batch in length_buckets(tokens.lengths[positions], tokens_per_batch=_TOKENS_PER_BATCH):
        input_ids, mask = (torch.from_numpy(array).to(device) for array in tokens.batch(positions[batch]))
        hidden_NTX = encoder.model(input_ids=input_ids, attention_mask=mask).last_hidden_state
        block[batch] = mean_over_tokens(hidden_NTX, mask).float().cpu().numpy()
    return block


def _save(path: Path, array: Float32Array) -> None:
    """Write an array so that a kill leaves either nothing or the whole file, and two runs do not meet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}.unfinished")
    with unfinished.open("wb") as stream:
        np.save(stream, array)
    unfinished.replace(path)
