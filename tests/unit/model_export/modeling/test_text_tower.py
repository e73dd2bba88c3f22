"""Encoders, token batches, whitened vectors, the tower's three modes and pretraining, on tiny random encoders."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers

from model_export.__main__ import main
from model_export.modeling.encoder_loading import EncoderError, load_encoder
from model_export.modeling.text_pretraining import MaskedLanguageSettings, pretrain
from model_export.modeling.text_tokens import tokenize
from model_export.modeling.text_tower import TextTower, mean_over_tokens
from model_export.modeling.text_vectors import pooled_text_vectors, whitened_text_vectors
from model_export.modeling.text_whitening import fit_whitening
from tests.unit.model_export.text_encoders import CHINESE, write_encoder

TEXTS = ["red game", "phone", "", "中文 手机", "😀 smile", "x" * 10_000, "a tv and a new big game", "\ud800 broken"]


def tower(tmp_path, mode):
    encoder = load_encoder(write_encoder(tmp_path / "encoder"), max_tokens=24)
    _, whitening = whitened_text_vectors(TEXTS, encoder, tmp_path / "cache", width=4)
    return TextTower(encoder, whitening, mode=mode), tokenize(TEXTS, encoder.tokenizer)


@pytest.mark.parametrize("slow", [False, True])
def test_fast_and_bare_vocabularies_read_chinese_alike(tmp_path, slow):
    """A Chinese BERT folder with only vocab.txt tokenises like the one with tokenizer.json."""
    encoder = load_encoder(write_encoder(tmp_path / "encoder", letters=CHINESE, slow=slow))
    assert encoder.tokenizer.encode("手机 红").tokens == ["[CLS]", "手", "机", "红", "[SEP]"]


def test_long_texts_are_cut_at_the_positions_that_the_encoder_has(tmp_path):
    """RoBERTa with 40 positions, one of them for padding, reads 39 tokens of 10,000 characters."""
    encoder = load_encoder(write_encoder(tmp_path / "encoder", "roberta"), max_tokens=64)
    assert (encoder.max_tokens, len(encoder.tokenizer.encode("x " * 10_000).ids)) == (39, 39)


def test_a_missing_folder_is_one_sentence():
    """A path that does not exist is never looked up on the hub."""
    with pytest.raises(EncoderError, match=r"^the encoder folder \./nowhere does not exist$"):
        load_encoder("./nowhere")


def test_whitened_vectors_have_unit_covariance():
    """Covariance of the fitted vectors is the identity, up to the shrinkage."""
    vectors = np.random.default_rng(0).normal(size=(500, 12)).astype(np.float32) @ np.diag(np.arange(1, 13))
    whitened = fit_whitening(vectors.astype(np.float32), width=6).apply(vectors.astype(np.float32))
    np.testing.assert_allclose(np.cov(whitened.T), np.eye(6), atol=0.01)


def test_vectors_come_from_the_cache_and_are_those_of_the_tower(tmp_path):
    """The second call reads the file that the first wrote; the tower gives the same vectors from tokens."""
    frozen, tokens = tower(tmp_path, "frozen")
    encoder = load_encoder(tmp_path / "encoder", max_tokens=24)
    (cached,) = (tmp_path / "cache").glob("*.npy")
    np.save(cached, np.ones_like(np.load(cached)))
    assert pooled_text_vectors(TEXTS, encoder, tmp_path / "cache").max() == 1.0
    cached.unlink()
    vectors, _ = whitened_text_vectors(TEXTS, encoder, tmp_path / "cache", width=4)
    with torch.inference_mode():
        np.testing.assert_allclose(frozen.encode_rows(tokens, np.arange(len(TEXTS))).numpy(), vectors, atol=1e-4)


def test_a_run_beside_this_one_may_finish_first_and_clean_up(tmp_path):
    """Blocks that another run on the same data removes while this one is at work change nothing."""
    encoder = load_encoder(write_encoder(tmp_path / "encoder"), max_tokens=24)
    alone = pooled_text_vectors(TEXTS, encoder, tmp_path / "alone")
    (tmp_path / "cache").mkdir()

    def clean_up(*_):
        for folder in (tmp_path / "cache").glob("*.parts"):
            shutil.rmtree(folder)

    encoder.model.register_forward_hook(clean_up)
    np.testing.assert_allclose(pooled_text_vectors(TEXTS, encoder, tmp_path / "cache"), alone, atol=1e-6)


@pytest.mark.parametrize(("mode", "trains"), [("frozen", False), ("lora", True), ("full", True)])
def test_each_mode_trains_what_it_says(tmp_path, mode, trains):
    """Gradients reach the encoder in lora and full mode, and never in frozen mode."""
    text_tower, tokens = tower(tmp_path, mode)
    assert any(parameter.requires_grad for parameter in text_tower.encoder.parameters()) == trains
    if not trains:
        return
    text_tower.encode_rows(tokens, np.arange(3), tokens_per_chunk=8).square().sum().backward()
    assert sum(p.grad.abs().sum().item() for p in text_tower.encoder.parameters() if p.grad is not None) > 0


def test_a_frozen_encoder_has_no_dropout_whatever_is_asked(tmp_path):
    """Its vectors are computed once, so training around it must not change them; the other modes have dropout."""
    frozen, _ = tower(tmp_path, "frozen")
    assert not frozen.train().encoder.training
    full, _ = tower(tmp_path / "full", "full")
    assert full.train().encoder.training


def test_padding_is_no_part_of_the_mean():
    """The mean is over the tokens that the mask keeps; a row that is all padding is 0."""
    hidden = torch.tensor([[[2.0], [4.0], [99.0]], [[7.0], [99.0], [99.0]], [[99.0], [99.0], [99.0]]])
    mask = torch.tensor([[1, 1, 0], [1, 0, 0], [0, 0, 0]])
    assert mean_over_tokens(hidden, mask).tolist() == [[3.0], [7.0], [0.0]]


def test_pretraining_lowers_the_loss_and_goes_on_after_a_kill(tmp_path, monkeypatch):
    """The loss falls; a run that dies in its second epoch ends with the losses of one that does not."""
    encoder = write_encoder(tmp_path / "encoder")
    texts = [f"{a} {b} {a} {b}" for a in "abcdefgh" for b in "klmnop"]
    settings = MaskedLanguageSettings(epochs=3, batch_size=8, learning_rate=5e-3)
    told: list[str] = []
    whole = pretrain(texts, str(encoder), tmp_path / "whole", settings, note=told.append)
    assert [line.partition(":")[0] for line in told[1:]] == [
        f"epoch {epoch + 1} of {settings.epochs}" for epoch in range(settings.epochs)
    ]
    assert whole[-1] < whole[0] - 0.3

    class Killed(Exception):
        pass

    from model_export.modeling import text_pretraining

    train_epoch = text_pretraining._Training._train_epoch

    def dying(self, epoch):
        if epoch == 1:
            raise Killed
        train_epoch(self, epoch)

    monkeypatch.setattr(text_pretraining._Training, "_train_epoch", dying)
    with pytest.raises(Killed):
        pretrain(texts, str(encoder), tmp_path / "killed", settings)
    monkeypatch.undo()
    assert pretrain(texts, str(encoder), tmp_path / "killed", settings) == pytest.approx(whole, rel=1e-3)
    assert json.loads((tmp_path / "killed" / "pretraining.json").read_text())["losses"][0] == whole[0]
    assert load_encoder(tmp_path / "killed").hidden_width == 32


def test_pretraining_without_data_says_what_was_expected(tmp_path, capsys):
    """A folder that holds no prepared data is a whole sentence."""
    assert main(["pretrain", "--data", str(tmp_path / "nope"), "--output", str(tmp_path / "out")]) == 2
    assert "nope has no items.parquet, expected a folder that `prepare` or `simulate` wrote" in capsys.readouterr().err


def test_blanks_do_not_change_what_a_text_means():
    """Tokens are those of the text with single blanks, also where blanks are words, and half a character is none."""
    words = Tokenizer(models.WordLevel({"[UNK]": 0, " ": 1, "red": 2, "shoes": 3}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Split(" ", "isolated")
    tokens = tokenize(["red shoes", " red  shoes\n", "\ud800"], words)
    assert tokens.ids.tolist() == [2, 1, 3, 2, 1, 3, 0]
