"""Texts become vectors in their own order, whatever they are."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from app.errors import BundleError
from app.inference.onnx_item_encoder import OnnxItemEncoder
from app.inference.provider import obtain_provider
from tests.tiny_bundle import MAX_TOKENS, WIDTH

if TYPE_CHECKING:
    from pathlib import Path

CPU = obtain_provider("cpu")
TEXTS = ["red shoes number 3", "books", "", "漢字 🙂", "green garden " * 2_000, "blue games number 199"]


@pytest.fixture(scope="module")
def encoder(tiny_bundle: Path) -> OnnxItemEncoder:
    """Return the encoder of the tiny bundle."""
    return OnnxItemEncoder(tiny_bundle, provider=CPU, max_tokens=MAX_TOKENS)


def test_each_text_gets_its_own_vector_in_order(encoder: OnnxItemEncoder) -> None:
    """Sorting by length inside does not show outside."""
    together = encoder.encode(TEXTS)
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(alone, together, atol=1e-6)


def test_vectors_are_finite_float32_of_the_bundles_width(encoder: OnnxItemEncoder) -> None:
    """Empty, foreign and endless texts have vectors too."""
    vectors = encoder.encode(TEXTS)
    assert ((len(TEXTS), WIDTH), np.float32, True) == (vectors.shape, vectors.dtype, bool(np.isfinite(vectors).all()))


def test_no_text_gives_no_vector(encoder: OnnxItemEncoder) -> None:
    """An empty batch keeps the width."""
    assert encoder.encode([]).shape == (0, WIDTH)


def test_many_buckets_keep_the_order(encoder: OnnxItemEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """More texts than fit one run come back in order."""
    monkeypatch.setattr(encoder, "_tokens_per_run", 8)
    texts = [f"red shoes number {number}" if number % 3 else "books" for number in range(1, 60)]
    vectors = encoder.encode(texts)
    np.testing.assert_allclose(encoder.encode([texts[41]])[0], vectors[41], atol=1e-6)
    np.testing.assert_allclose(encoder.encode(["books"])[0], vectors[2], atol=1e-6)


def test_a_run_has_no_more_tokens_than_it_may(encoder: OnnxItemEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Padding included: eight words, a word beside a text of three, and twice two of those."""
    runs: list[int] = []
    run = encoder._run

    def counted(ids_NT: Any, mask_NT: Any) -> Any:
        runs.append(ids_NT.size)
        return run(ids_NT, mask_NT)

    monkeypatch.setattr(encoder, "_tokens_per_run", 8)
    monkeypatch.setattr(encoder, "_run", counted)
    encoder.encode(["red shoes number"] * 5 + ["books"] * 9)
    assert runs == [8 * 1, 2 * 3, 2 * 3, 2 * 3]


def test_texts_are_cut_where_the_bundle_says(encoder: OnnxItemEncoder) -> None:
    """Words behind the last token that the model reads change nothing; the last one does."""
    words = ["red"] * MAX_TOKENS
    kept, longer, other = encoder.encode(
        [" ".join(words), " ".join([*words, "books"]), " ".join([*words[:-1], "books"])]
    )
    np.testing.assert_array_equal(kept, longer)
    assert not np.allclose(kept, other)


def test_threads_share_an_encoder(encoder: OnnxItemEncoder) -> None:
    """Concurrent calls get their own texts' vectors."""
    expected = encoder.encode(TEXTS)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: encoder.encode(TEXTS), range(20)))
    assert all(np.array_equal(expected, vectors) for vectors in found)


def test_a_tokenizer_that_is_none_is_named(tiny_bundle: Path, tmp_path: Path) -> None:
    """Garbage in place of the tokenizer is a sentence with the file's name."""
    copy = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    (copy / "tokenizer.json").write_text("{}")
    with pytest.raises(BundleError, match=r"tokenizer\.json cannot be loaded as a tokenizer"):
        OnnxItemEncoder(copy, provider=CPU, max_tokens=MAX_TOKENS)


def test_white_space_is_read_as_in_training(tiny_bundle: Path, tmp_path: Path) -> None:
    """Training reads texts with single blanks; so does the service, also by a tokenizer to which blanks are words."""
    words = Tokenizer(models.WordLevel({"[UNK]": 0, " ": 1, "red": 2, "shoes": 3}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Split(" ", "isolated")
    words.save(str(tmp_path / "tokenizer.json"))
    shutil.copy(tiny_bundle / "item_encoder.onnx", tmp_path)
    encoder = OnnxItemEncoder(tmp_path, provider=CPU, max_tokens=MAX_TOKENS)
    plain, spaced, broken, other = encoder.encode(["red shoes", "red   shoes ", "\tred\nshoes", "shoes \ud800"])
    np.testing.assert_allclose(spaced, plain, atol=1e-6)
    np.testing.assert_allclose(broken, plain, atol=1e-6)
    assert np.isfinite(other).all()
