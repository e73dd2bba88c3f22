"""A run whose text encoder learned goes all the way: trained, exported in every precision, verified."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from model_export.__main__ import main
from model_export.modeling.encoder_loading import load_tokenizer
from model_export.modeling.text_tokens import tokenize
from model_export.training.trained_run import load_trained_run
from tests.small_run import write_bert

CONFIG = """
[model]
width = 16
vector_width = 16
history_length = 10

[text]
width = 8
max_tokens = 12
learning_rate = 0.005

[training]
max_epochs = 2
positions_per_batch = 512
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Return a folder with a small shop, a random BERT that has dropout, and settings."""
    folder = tmp_path_factory.mktemp("shop")
    assert main(["simulate", "--output", str(folder / "data"), "--users", "60", "--items", "80", "--seed", "1"]) == 0
    # near ties of a random encoder may fall either way in FP16, so it is the same one every time
    torch.manual_seed(0)
    config = write_bert(folder / "bert") / "config.json"
    dropout = {"hidden_dropout_prob": 0.3, "attention_probs_dropout_prob": 0.3}
    config.write_text(json.dumps(json.loads(config.read_text()) | dropout))
    (folder / "run.toml").write_text(CONFIG)
    return folder


@pytest.mark.parametrize(
    ("mode", "options", "precisions"), [("lora", [], ("fp32", "int8")), ("full", ["--no-refit"], ("fp32", "fp16"))]
)
def test_a_fine_tuned_encoder_is_the_one_that_is_exported(mode, options, precisions, shop, tmp_path):
    """The run's text vectors are those of the encoder that it keeps, so every precision passes its certificate."""
    run, data = tmp_path / "run", shop / "data"
    train = ["train", "--data", str(data), "--run", str(run), "--config", str(shop / "run.toml"), "--text-mode", mode]
    assert main([*train, "--encoder", str(shop / "bert"), *options]) == 0
    opened = load_trained_run(run)
    tokens = tokenize(opened.data.item_texts(), load_tokenizer(opened.tokenizer_folder, max_tokens=opened.max_tokens))
    with torch.inference_mode():
        vectors = opened.model.text_tower.encode_rows(tokens, np.arange(len(tokens))).numpy()
    np.testing.assert_allclose(vectors, opened.model.items.text_vectors[1:].numpy(), atol=1e-4)
    assert opened.tokenizer_folder == run / "text_encoder"
    for precision in precisions:
        bundle = str(tmp_path / precision)
        assert main(["export", "--run", str(run), "--bundle", bundle, "--precision", precision]) == 0
        assert main(["verify", bundle]) == 0
