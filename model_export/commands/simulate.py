"""Make a shop with a known truth: what `prepare` writes, and DATA/truth.npz.

Products stand in a tree of departments, categories and product types and have titles and descriptions that tell all
that shoppers care for. Shoppers have long-term tastes and short-term missions that drift; they view, put into the
cart and purchase; some products are popular, some appear in the last days only. truth.npz knows the true probability
of every next item, so that `evaluate` can report an oracle beside the models.

Example:
  python -m model_export simulate --output build/shop --users 12000 --items 800 --seed 7
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from model_export.data.preparation import say
from model_export.data.simulation.shop import ShopOptions, simulate
from model_export.errors import CommandError
from model_export.option_values import seed

if TYPE_CHECKING:
    import argparse

FEWEST_ITEMS: Final = 80


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``simulate``."""
    defaults = ShopOptions()
    parser.add_argument(
        "--output", required=True, type=Path, metavar="DATA", help="folder to write (whole or not at all)"
    )
    parser.add_argument("--users", type=int, default=defaults.users, help=f"default {defaults.users}")
    parser.add_argument(
        "--items", type=int, default=defaults.items, help=f"at least {FEWEST_ITEMS}, default {defaults.items}"
    )
    parser.add_argument("--seed", type=seed, default=defaults.seed, help=f"default {defaults.seed}")
    parser.add_argument(
        "--new-items",
        type=float,
        default=defaults.new_items,
        metavar="SHARE",
        help=f"share of products that appear in the last days (default {defaults.new_items})",
    )
    parser.add_argument(
        "--drift",
        type=float,
        default=defaults.drift_share,
        metavar="SHARE",
        help=f"share of users whose tastes change from one event to the next (default {defaults.drift_share})",
    )


def run(arguments: argparse.Namespace) -> int:
    """Simulate; return 0."""
    for name, value in (("--new-items", arguments.new_items), ("--drift", arguments.drift)):
        if not 0 <= value < 1:
            raise CommandError(f"{name} is {value}, expected a share from 0 to below 1")
    if arguments.items < FEWEST_ITEMS:
        raise CommandError(f"--items is {arguments.items}, expected at least {FEWEST_ITEMS}")
    if arguments.users < 1:
        raise CommandError(f"--users is {arguments.users}, expected at least 1")
    options = ShopOptions(
        users=arguments.users,
        items=arguments.items,
        seed=arguments.seed,
        new_items=arguments.new_items,
        drift_share=arguments.drift,
    )
    simulate(arguments.output, options)
    say(f"{arguments.output}: a shop of {options.items:,} products and {options.users:,} users, seed {options.seed}")
    return 0
