"""Search the settings of `train` with Optuna, by validation NDCG@10; nobody needs to, the defaults come from the data.

The folder gets study.sqlite3 (so that the same command goes on after a kill), report.md, best.toml for train --config,
and a folder for each trial. The first trial is the defaults.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from model_export.option_values import whole_number

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``tune``."""
    parser.add_argument("--data", type=Path, required=True, help="what `prepare` or `simulate` wrote")
    parser.add_argument("--output", type=Path, required=True, help="folder of the study; an unfinished one goes on")
    parser.add_argument("--config", type=Path, help="TOML file with what stays fixed; max_minutes limits a trial")
    parser.add_argument(
        "--trials",
        type=whole_number(1),
        default=20,
        help="finished trials after which to stop, pruned ones too (20)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (auto)")


def run(arguments: argparse.Namespace) -> int:
    """Search and return 0."""
    from model_export.run_config import RunConfig, read_run_config
    from model_export.training.tuning import Tuning

    config = read_run_config(arguments.config) if arguments.config else RunConfig()
    Tuning(arguments.data, arguments.output, config, device=arguments.device).run(arguments.trials)
    print(f"report: {arguments.output / 'report.md'}; settings for train --config: {arguments.output / 'best.toml'}")
    return 0
