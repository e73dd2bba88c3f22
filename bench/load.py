"""What happens as load rises past saturation: open-loop arrivals at 25% to 300% of it.

python -m bench.load --bundle build/demo/bundle
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.http_load import Outcome, closed_loop, open_loop
from bench.machine import STOLEN_NOTE, StolenTime, machine_lines
from bench.served import seqrank_served
from bench.workload import Workload

SHARES = (0.25, 0.5, 0.7, 0.9, 1.0, 1.5, 2.0, 3.0)
CANDIDATES = 100
STEP_S = 10.0
SATURATING_CLIENTS = 32


@dataclass(frozen=True, slots=True)
class Step:
    """One rate of arrival and what came of it."""

    share: float
    rate: float
    outcome: Outcome
    stolen_percent: float

    def row(self) -> str:
        """Return the step as a row of the Markdown table."""
        seen = self.outcome
        full = sum(code == 200 and not poor for code, poor in zip(seen.statuses, seen.degraded, strict=True))
        other = len(seen.statuses) - seen.count(200) - seen.count(429)
        return (
            f"| {self.share:.0%} | {self.rate:.0f} | {full / seen.duration_s:.0f} "
            f"| {(seen.count(200) - full) / seen.duration_s:.0f} | {seen.rate(429):.0f} | {other} "
            f"| {seen.percentile_ms(50):.1f} | {seen.percentile_ms(99):.1f} | {seen.percentile_ms(99.9):.1f} "
            f"| {self.stolen_percent:.0f}% |"
        )


def saturation(url: str, requests: list[bytes]) -> float:
    """Return the answers per second of a closed loop with many clients: the median of three runs."""
    return median(
        asyncio.run(closed_loop(url, requests, clients=SATURATING_CLIENTS, duration_s=4.0)).rate() for _ in range(3)
    )


def draw(steps: list[Step], path: Path) -> None:
    """Draw latency and goodput against the offered load."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (latency, goodput) = plt.subplots(1, 2, figsize=(11, 4))
    offered = [step.rate for step in steps]
    for percent in (50, 99, 99.9):
        latency.plot(offered, [step.outcome.percentile_ms(percent) for step in steps], marker="o", label=f"p{percent}")
    latency.set(xlabel="offered requests per second", ylabel="ms from due to answered (200s)", yscale="log")
    latency.yaxis.set_major_formatter("{x:g}")
    latency.yaxis.set_minor_formatter("{x:g}")
    goodput.plot(offered, [step.outcome.rate(200) for step in steps], marker="o", label="answered 200")
    goodput.plot(offered, [step.outcome.rate(429) for step in steps], marker="o", label="refused 429")
    goodput.plot(offered, offered, color="0.7", linestyle="--", label="offered")
    goodput.set(xlabel="offered requests per second", ylabel="answers per second")
    for axes in (latency, goodput):
        axes.grid(alpha=0.3)
        axes.legend()
    figure.suptitle(f"/rank of {CANDIDATES} candidates under rising load")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> int:
    """Measure and write ``docs/results/load.md`` with its plot."""
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    parser.add_argument("--bundle", type=Path, default=Path("build/demo/bundle"))
    parser.add_argument("--output", type=Path, default=Path("docs/results/load.md"))
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    work, steps, stolen = Workload(arguments.bundle), [], StolenTime()
    with seqrank_served(arguments.bundle, workers=arguments.workers) as served:
        work.seed_histories(served.url)
        requests = work.rank_requests(CANDIDATES)
        top = saturation(served.url, requests)
        stolen.percent()
        for share in SHARES:
            outcome = asyncio.run(open_loop(served.url, requests, rate=top * share, duration_s=STEP_S))
            steps.append(Step(share, top * share, outcome, stolen.percent()))
            print(steps[-1].row(), flush=True)
    lines = [
        "# Load",
        "",
        f"`python -m bench.load --bundle … --workers {arguments.workers}` · {machine_lines('uvicorn')}",
        "",
        (
            f"{CANDIDATES} candidates, {work.events} events, Poisson arrivals for {STEP_S:.0f} s a step; latency "
            f"counts from the moment a request was due. Saturation ({SATURATING_CLIENTS} clients in a closed loop, "
            f"load generator on the same machine): {top:.0f}/s. {STOLEN_NOTE}"
        ),
        "",
        "| load | offered/s | full/s | degraded/s | 429/s | other answers | p50 ms | p99 ms | p99.9 ms | stolen |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *(step.row() for step in steps),
        "",
        f"![latency and goodput]({arguments.output.stem}.png)",
    ]
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text("\n".join(lines) + "\n", "utf-8")
    draw(steps, arguments.output.with_suffix(".png"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
