"""Train the ranker on prepared data; nothing needs tuning: what is left open is chosen from the data's statistics.

The run folder gets the resolved configuration, the environment, metrics, log, TensorBoard curves, checkpoints and
model.safetensors. A killed run goes on where it was when the same command is given again. With torchrun several
processes share the work: torchrun --nproc-per-node 2 -m -- model_export train ...
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from model_export.data.splits import LEAVE_ONE_OUT, SPLIT_NAMES
from model_export.option_values import seed
from model_export.run_config import RunConfig, check_ranges, read_run_config

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``train``."""
    parser.add_argument("--data", type=Path, required=True, help="what `prepare` or `simulate` wrote")
    parser.add_argument("--run", type=Path, required=True, help="folder of the run; an unfinished one goes on")
    parser.add_argument("--config", type=Path, help="TOML file; docs/training.md lists the settings")
    parser.add_argument("--encoder", help="BERT folder or hub id (the packaged MiniLM)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (auto)")
    parser.add_argument("--seed", type=seed, help="of everything random (1)")
    parser.add_argument("--split", choices=SPLIT_NAMES, help=f"what is held out ({LEAVE_ONE_OUT})")
    parser.add_argument(
        "--no-refit", action="store_true", help="keep the best epoch's model; do not train on validation"
    )
    parser.add_argument(
        "--text-mode", choices=("frozen", "lora", "full"), help="what of the text encoder learns (frozen)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Train and return 0."""
    from model_export.training.training_run import TrainingRun

    config = configured(arguments)
    return TrainingRun(arguments.data, arguments.run, config, device=arguments.device).run()


def configured(arguments: argparse.Namespace) -> RunConfig:
    """Return the configuration of the file with the command line's changes.

    Raises:
        ConfigError: If a setting is unknown or out of range.
    """
    config = read_run_config(arguments.config) if arguments.config else RunConfig()
    text, training = config.text, config.training
    if arguments.encoder is not None:
        text = replace(text, encoder=arguments.encoder)
    if arguments.text_mode is not None:
        text = replace(text, mode=arguments.text_mode)
    if arguments.no_refit:
        training = replace(training, refit=False)
    config = replace(
        config,
        text=text,
        training=training,
        split=arguments.split or config.split,
        seed=config.seed if arguments.seed is None else arguments.seed,
    )
    check_ranges(config)
    return config
