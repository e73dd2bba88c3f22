"""The configuration of a run."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import get_args, get_type_hints

import pytest

from model_export.run_config import (
    RANGES,
    ConfigError,
    ModelConfig,
    RunConfig,
    config_from,
    config_to_toml,
    read_run_config,
)


@pytest.mark.parametrize(
    "config",
    [
        RunConfig(),
        RunConfig(model=ModelConfig(width=96, delta_bound=float("inf"), use_time=False), seed=9, split="cold"),
    ],
)
def test_what_is_written_is_read(config, tmp_path):
    """A configuration survives its own TOML, infinity and open choices among it."""
    path = tmp_path / "config.toml"
    path.write_text(config_to_toml(config))
    assert read_run_config(path) == config


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"model": {"widht": 64}}, "there is no setting model.widht, expected one of"),
        ({"modle": {}}, "there is no setting modle"),
        ({"model": {"width": "wide"}}, "model.width is 'wide', expected int"),
        ({"model": {"width": True}}, "model.width is True"),
        ({"model": 3}, "model is 3, expected a section"),
        ({"model": {"dropout": 1.5}}, r"model.dropout is 1.5, expected 0.0 to 0.95"),
        ({"model": {"encoder": "mamba"}}, "model.encoder is 'mamba', expected one of transformer, gru, lstm"),
        ({"split": "random"}, "split is 'random'"),
        ({"training": {"patience": 0}}, "training.patience is 0"),
        ({"training": {"max_minutes": -1}}, "training.max_minutes is -1.0, expected 0.0 to inf"),
        ({"training": {"warm_up_steps": -1}}, "training.warm_up_steps is -1, expected 0 to"),
        ({"training": {"weight_decay": float("nan")}}, "training.weight_decay is nan"),
        ({"seed": -1}, "seed is -1, expected 0 to 4294967295"),
        ({"model": {"heads": 3, "width": 128}}, "model.heads is 3, expected a divisor of model.width, which is 128"),
    ],
)
def test_a_wrong_setting_is_named(raw, message):
    """Typos, wrong types and impossible values are refused with the key, the value and what was expected."""
    with pytest.raises(ConfigError, match=message):
        config_from(raw)


def numbers_of(kind, prefix=""):
    """Return the keys of every setting that is a number."""
    found = set()
    for field in fields(kind):
        hint = get_type_hints(kind)[field.name]
        if is_dataclass(hint):
            found |= numbers_of(hint, f"{field.name}.")
        elif {int, float} & set(get_args(hint) or (hint,)):
            found.add(prefix + field.name)
    return found


def test_every_number_has_bounds():
    """No number is taken unchecked."""
    assert numbers_of(RunConfig) == RANGES.keys()


def test_whole_numbers_are_fine_where_fractions_are_meant():
    """``dropout = 0`` means 0.0."""
    assert config_from({"model": {"dropout": 0}}).model.dropout == 0.0


def test_no_toml_is_refused(tmp_path):
    """The message names the file."""
    path = tmp_path / "broken.toml"
    path.write_text("[model\n")
    with pytest.raises(ConfigError, match=r"broken.toml is no TOML"):
        read_run_config(path)
