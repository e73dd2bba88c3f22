"""What a run keeps of its text encoder."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import AutoModel

from model_export.run_config import TextConfig
from model_export.training.item_texts import encode_item_texts, save_text_encoder
from tests.small_run import write_bert


def test_an_encoder_is_kept_without_a_word(tmp_path, capsys):
    """What the library shows while it writes would run through the training's own bar."""
    config = TextConfig(encoder=str(write_bert(tmp_path / "bert")), mode="lora", width=4, max_tokens=8)
    texts = encode_item_texts(
        ["walnut desk", "steel lamp", "red rug"],
        config,
        cache_folder=tmp_path,
        known_positions=np.arange(3),
        device=torch.device("cpu"),
    )
    capsys.readouterr()
    save_text_encoder(texts.tower(), config, tmp_path / "kept")
    assert "".join(capsys.readouterr()) == ""
    assert AutoModel.from_pretrained(tmp_path / "kept").config.model_type == "bert"


def test_texts_are_encoded_where_the_training_runs(tmp_path):
    """A device that holds no numbers says so: nothing is encoded elsewhere in silence."""
    config = TextConfig(encoder=str(write_bert(tmp_path / "bert")), width=4, max_tokens=8)
    with pytest.raises(RuntimeError, match="meta"):
        encode_item_texts(
            ["walnut desk"], config, cache_folder=tmp_path, known_positions=np.arange(1), device=torch.device("meta")
        )
