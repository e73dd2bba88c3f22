"""`python -m model_export COMMAND`: the offline commands."""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import Final

from app.errors import SeqrankError

COMMANDS: Final = {
    "prepare": "read raw interactions and item texts into two Parquet files",
    "simulate": "make a shop with a known truth",
    "pretrain": "continue BERT's masked-language training on the shop's own texts",
    "train": "fine-tune the ranker",
    "tune": "search hyperparameters",
    "evaluate": "measure a run and its baselines on the full catalogue",
    "export": "certify a run and publish it as a bundle",
    "verify": "check a bundle without serving it",
    "replay": "play the held-out test through a live service",
    "collect": "drain the service's event log to Parquet",
}
"""Command -> one-line summary; ``commands/NAME.py`` has ``add_arguments(parser)`` and ``run(arguments)``."""


def main(argv: list[str] | None = None) -> int:
    """Run one command; return its exit code: 0 done, 1 the result is bad, 2 it could not be done."""
    argv = sys.argv[1:] if argv is None else argv
    overview = "\n".join(f"  {name:<10} {summary}" for name, summary in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="python -m model_export",
        description="From raw interactions to a certified bundle.",
        epilog=f"commands:\n{overview}\n\n`python -m model_export COMMAND --help` says more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND")
    chosen = parser.parse_args(argv[:1]).command
    module = importlib.import_module(f"model_export.commands.{chosen}")
    command_parser = argparse.ArgumentParser(
        prog=f"python -m model_export {chosen}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(command_parser)
    try:
        return int(module.run(command_parser.parse_args(argv[1:])))
    except (SeqrankError, OSError) as error:
        print(f"{chosen}: {_in_words(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{chosen}: interrupted; run the same command again to go on", file=sys.stderr)
        return 130


def _in_words(error: Exception) -> str:
    """Return an error as a sentence; the system's own begin with a number."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror is not None:
        return f"{error.filename} cannot be used: {error.strerror}"
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
