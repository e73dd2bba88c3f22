"""Continue masked-language training of a text encoder on the shop's own item texts.

The result is an encoder folder for `train --encoder`. Whole words are masked; the work is saved after every epoch, and
the same command goes on from there after a kill.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from model_export.modeling.encoder_loading import DEFAULT_MAX_TOKENS
from model_export.option_values import number, seed, whole_number

if TYPE_CHECKING:
    import argparse


FEWEST_TOKENS: Final = 4
"""Two of them are marks of the beginning and the end, which are never masked."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `pretrain`."""
    parser.add_argument("--data", type=Path, required=True, help="folder that `prepare` or `simulate` wrote")
    parser.add_argument("--output", type=Path, required=True, help="encoder folder to write")
    parser.add_argument("--encoder", help="encoder folder or hub id to start from (default: the packaged MiniLM)")
    count = whole_number(1)
    parser.add_argument("--epochs", type=count, default=3, help="passes over the item texts (default: %(default)s)")
    parser.add_argument("--batch-size", type=count, default=32, help="texts a step (default: %(default)s)")
    parser.add_argument(
        "--learning-rate", type=number(1e-9, 1), default=5e-5, help="peak, after warm-up (default: %(default)s)"
    )
    parser.add_argument(
        "--max-tokens",
        type=whole_number(FEWEST_TOKENS),
        default=DEFAULT_MAX_TOKENS,
        help=f"text length, at least {FEWEST_TOKENS} (default: %(default)s)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: %(default)s)")
    parser.add_argument("--seed", type=seed, default=7, help="of shuffling and masking (default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Pretrain and report the loss before and after."""
    from model_export.data import columns
    from model_export.data.dataset import read_items
    from model_export.modeling.text_pretraining import MaskedLanguageSettings, pretrain
    from model_export.training.precision import chosen_device

    texts = read_items(arguments.data).column(columns.TEXT).to_pylist()
    settings = MaskedLanguageSettings(
        epochs=arguments.epochs,
        batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate,
        max_tokens=arguments.max_tokens,
        device=str(chosen_device(arguments.device)),
        seed=arguments.seed,
    )
    losses = pretrain(texts, arguments.encoder, arguments.output, settings, note=partial(print, flush=True))
    print(f"masked-language loss {losses[0]:.4f} -> {losses[-1]:.4f}; use it: train --encoder {arguments.output}")
    return 0
