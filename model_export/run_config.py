"""The typed configuration of a training run, read from TOML."""

from __future__ import annotations

import json
import tomllib
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Final, get_type_hints

from model_export.data.splits import LEAVE_ONE_OUT, SPLIT_NAMES
from model_export.errors import CommandError
from model_export.option_values import LARGEST_SEED

if TYPE_CHECKING:
    from pathlib import Path


class ConfigError(CommandError):
    """A configuration file has an unknown key, or a value of the wrong type or out of range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The ranker; None is chosen from the data's statistics (`model_export.training.capacity`).

    Attributes:
        encoder: ``transformer``, ``gru`` or ``lstm``.
        width: E, width of the sequence encoder.
        vector_width: D, width of an item vector, the popularity coordinate included.
        blocks: Layers of the sequence encoder.
        heads: Attention heads; divides ``width``.
        history_length: H, latest events that the model reads.
        dropout: Of the sequence encoder, 0 up to below 1.
        interests: K, vectors for each user.
        use_time: Whether ages mean something; None looks at the timestamps.
        delta_bound: Longest per-item delta in lengths of the text part; 0 is text only, ``inf`` free ids.
        id_dropout: Share of items whose delta is left out in a training step.
        new_item_boost: Added to the score of items without training events, once the model is trained; None is as much
            as the validation's known items can afford (`model_export.training.new_items`).
    """

    encoder: str = "transformer"
    width: int | None = None
    vector_width: int | None = None
    blocks: int | None = None
    heads: int = 2
    history_length: int | None = None
    dropout: float | None = None
    interests: int = 1
    use_time: bool | None = None
    delta_bound: float | None = None
    id_dropout: float = 0.2
    new_item_boost: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TextConfig:
    """The text encoder.

    Attributes:
        encoder: A BERT folder or hub id; empty is the packaged MiniLM.
        mode: ``frozen``, ``lora`` or ``full``.
        width: W, coordinates of a whitened text vector.
        max_tokens: T, where longer texts are cut.
        lora_rank: Rank of the additions in ``lora`` mode.
        learning_rate: Of the text encoder, in ``lora`` and ``full`` mode.
        items_per_step: Items that the text encoder reads in a training step, in ``lora`` and ``full`` mode.
    """

    encoder: str = ""
    mode: str = "frozen"
    width: int = 256
    max_tokens: int = 64
    lora_rank: int = 8
    learning_rate: float = 2e-5
    items_per_step: int = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """The optimisation; None is chosen from the data's statistics.

    Attributes:
        learning_rate: Peak of AdamW's.
        weight_decay: Of matrices; vectors and biases have none.
        delta_weight_decay: Of the per-item deltas.
        warm_up_steps: Steps in which the learning rate rises from 0.
        clip_norm: Largest norm of a step's gradient.
        positions_per_batch: Sequence positions of a batch, padding included.
        max_epochs: Passes over the data at most.
        max_minutes: Wall-clock minutes after which no further epoch begins, so that with the refit a run stays within
            half an hour; 0 is no limit.
        patience: Epochs without a better validation NDCG@10 before stopping.
        averaging: Decay of the running average of the weights, which is what is validated and kept; 0 is none.
        validation_targets: Validation targets looked at after each epoch, at most.
        full_softmax_items: Catalogues up to this size have every item in every softmax; larger ones sample negatives.
        negatives: Negatives shared by a batch, for larger catalogues.
        precision: ``bfloat16`` or ``float32`` products, ``auto`` for what the processor is good at.
        refit: Train again on train + validation for the chosen number of epochs: what goes live.
        objective_weight: Weight of the outcome heads' loss.
    """

    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    delta_weight_decay: float = 0.01
    warm_up_steps: int = 100
    clip_norm: float = 1.0
    positions_per_batch: int | None = None
    max_epochs: int = 60
    max_minutes: float = 14.0
    patience: int = 5
    averaging: float = 0.99
    validation_targets: int = 10_000
    full_softmax_items: int = 20_000
    negatives: int = 2048
    precision: str = "auto"
    refit: bool = True
    objective_weight: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """Everything that decides a run beside the data.

    Attributes:
        model: The ranker.
        text: The text encoder.
        training: The optimisation.
        split: ``leave-one-out``, ``temporal`` or ``cold``.
        seed: Of everything random.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    text: TextConfig = field(default_factory=TextConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    split: str = LEAVE_ONE_OUT
    seed: int = 1


def read_run_config(path: Path) -> RunConfig:
    """Read a TOML file.

    Raises:
        ConfigError: If it is no TOML, has an unknown key, or a value has the wrong type or is out of range.
    """
    try:
        return config_from(tomllib.loads(path.read_text("utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no TOML: {error}") from error


def config_from(raw: dict[str, Any]) -> RunConfig:
    """Return the configuration that nested mappings describe; what they leave out keeps its default."""
    config: RunConfig = _section(RunConfig, raw, "")
    check_ranges(config)
    return config


def config_to_toml(config: RunConfig) -> str:
    """Return TOML text that `config_from` reads back as the same configuration; None is left out."""
    top, sections = [], []
    for key, value in asdict(config).items():
        if isinstance(value, dict):
            lines = [f"{name} = {_literal(entry)}" for name, entry in value.items() if entry is not None]
            sections.append("\n".join([f"[{key}]", *lines]))
        else:
            top.append(f"{key} = {_literal(value)}")
    return "\n\n".join(["\n".join(top), *sections]) + "\n"


def check_ranges(config: RunConfig) -> None:
    """Refuse values that no run could work with; what is left open is fine.

    Raises:
        ConfigError: With the key, the value and what was expected.
    """
    for key, (low, high) in RANGES.items():
        value = _read(config, key)
        if value is not None and not low <= value <= high:
            raise ConfigError(f"{key} is {value}, expected {low} to {high}")
    for key, allowed in _CHOICES.items():
        value = _read(config, key)
        if value not in allowed:
            raise ConfigError(f"{key} is {value!r}, expected one of {', '.join(allowed)}")
    heads, width = config.model.heads, config.model.width
    if width is not None and width % heads:
        raise ConfigError(f"model.heads is {heads}, expected a divisor of model.width, which is {width}")


def first_difference(asked: RunConfig, made: RunConfig) -> str | None:
    """Return in words the first setting in which two configurations differ; one that ``asked`` leaves open does not.

    >>> first_difference(RunConfig(seed=2), RunConfig())
    'seed is 2 here and 1 there'
    """
    for entry in fields(asked):
        ours, theirs = getattr(asked, entry.name), getattr(made, entry.name)
        pairs = [(entry.name, ours, theirs)]
        if is_dataclass(ours):
            pairs = [
                (f"{entry.name}.{own.name}", getattr(ours, own.name), getattr(theirs, own.name)) for own in fields(ours)
            ]
        for key, one, other in pairs:
            if one is not None and one != other:
                return f"{key} is {one!r} here and {other!r} there"
    return None


def _read(config: RunConfig, key: str) -> Any:
    section, _, name = key.rpartition(".")
    return getattr(getattr(config, section) if section else config, name)


RANGES: Final[dict[str, tuple[float, float]]] = {
    "model.width": (4, 4096),
    "model.vector_width": (4, 4096),
    "model.blocks": (1, 64),
    "model.heads": (1, 64),
    "model.history_length": (1, 4096),
    "model.dropout": (0.0, 0.95),
    "model.interests": (1, 16),
    "model.delta_bound": (0.0, float("inf")),
    "model.id_dropout": (0.0, 0.95),
    "model.new_item_boost": (-100.0, 100.0),
    "text.width": (1, 8192),
    "text.max_tokens": (4, 8192),
    "text.lora_rank": (1, 1024),
    "text.learning_rate": (0.0, 1.0),
    "text.items_per_step": (1, 1_000_000),
    "training.learning_rate": (0.0, 1.0),
    "training.weight_decay": (0.0, 100.0),
    "training.delta_weight_decay": (0.0, 100.0),
    "training.warm_up_steps": (0, 1_000_000_000),
    "training.clip_norm": (1e-6, float("inf")),
    "training.averaging": (0.0, 0.99999),
    "training.max_epochs": (1, 100_000),
    "training.max_minutes": (0.0, float("inf")),
    "training.patience": (1, 100_000),
    "training.negatives": (1, 1_000_000),
    "training.positions_per_batch": (1, 10_000_000),
    "training.validation_targets": (1, 1_000_000_000),
    "training.full_softmax_items": (0, 1_000_000_000),
    "training.objective_weight": (0.0, 1000.0),
    "seed": (0, LARGEST_SEED),
}
"""Least and greatest value of every number, by ``section.key``."""

_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "model.encoder": ("transformer", "gru", "lstm"),
    "text.mode": ("frozen", "lora", "full"),
    "training.precision": ("auto", "bfloat16", "float32"),
    "split": SPLIT_NAMES,
}


def _section(kind: type[Any], raw: dict[str, Any], prefix: str) -> Any:
    hints = get_type_hints(kind)
    known = {entry.name for entry in fields(kind)}
    for key in raw:
        if key not in known:
            raise ConfigError(f"there is no setting {prefix}{key}, expected one of {', '.join(sorted(known))}")
    return kind(**{key: _value(hints[key], value, f"{prefix}{key}") for key, value in raw.items()})


def _value(hint: Any, value: Any, key: str) -> Any:
    if is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, dict):
            raise ConfigError(f"{key} is {value!r}, expected a section")
        return _section(hint, value, f"{key}.")
    allowed = getattr(hint, "__args__", (hint,))
    if float in allowed and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) not in allowed:
        names = " or ".join(kind.__name__ for kind in allowed if kind is not type(None))
        raise ConfigError(f"{key} is {value!r}, expected {names}")
    return value


def _literal(value: Any) -> str:
    """Return a TOML literal; JSON's strings, numbers and booleans are TOML's, infinity is spelt otherwise."""
    return "inf" if value == float("inf") else json.dumps(value)
