"""How requests become runs on this machine: a choice that is made once, at warm-up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from app.inference.batch_layout import BatchLayout
from app.inference.latency_predictor import LatencyCurve

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPolicy:
    """The choice.

    Attributes:
        workers: Threads that run the model side by side.
        layout: Shapes of runs.
        max_batch: Most requests in one run.
        max_cells: Most candidates in one run, padding included.
        run_events: What a run costs beside what its requests cost, in events of a history. Where lengths need not
            match, requests share a run while the padding costs less than the runs that are saved.
        candidate_events: What a candidate costs, in events of a history.
        growth: Requests in a run -> how many times the run of one request it takes: a curve of ratios, not of seconds.
        inline_below_s: A run that is predicted to be shorter is done on the event loop when no other request is being
            ranked, or, with one worker, when no other run is under way; 0 for never.
        handoff_s: What the way to a thread and back costs here. A run that is predicted to be shorter is done on the
            event loop whoever else is there, unless ``inline_below_s`` is 0.
        chosen_by: ``measured`` or ``setting``.
        measured: What the choice rests on, for ``/info``.
    """

    workers: int = 1
    layout: BatchLayout = field(default_factory=BatchLayout)
    max_batch: int = 1
    max_cells: int = 1 << 62
    run_events: float = 0.0
    candidate_events: float = 0.0
    growth: LatencyCurve = field(default_factory=lambda: LatencyCurve((1,), (1.0,)))
    inline_below_s: float = 0.0
    handoff_s: float = 0.0
    chosen_by: str = "setting"
    measured: dict[str, Any] = field(default_factory=dict)

    def pads_cheaply(self, sizes: Sequence[tuple[int, int]]) -> bool:
        """Tell whether requests of these sizes, events and candidates, cost less in one run than in a run each."""
        candidates = [size[1] for size in sizes]
        longest, most = max([size[0] for size in sizes]), max(candidates)
        if len(sizes) * most > self.max_cells:
            return False
        padding: float = sum([longest - size[0] for size in sizes])
        padding += self.candidate_events * sum([most - count for count in candidates])
        return padding <= self.run_events * (len(sizes) - 1)

    def runs_on_loop(self, expected_s: float) -> bool:
        """Tell whether a run of this length is done on the event loop though other requests are being ranked."""
        return expected_s < (self.inline_below_s if self.workers == 1 else min(self.handoff_s, self.inline_below_s))

    def describe(self) -> dict[str, Any]:
        """Return the choice as ``/info`` shows it."""
        return {
            "workers": self.workers,
            "max_batch": self.max_batch,
            "pads_to_longest": self.layout.pads_to_longest,
            "run_events": round(self.run_events, 1),
            "batch_buckets": list(self.layout.batch_buckets),
            "candidate_buckets": list(self.layout.candidate_buckets),
            "history_buckets": list(self.layout.history_buckets),
            "inline_below_ms": round(self.inline_below_s * 1000.0, 3),
            "handoff_ms": round(self.handoff_s * 1000.0, 3),
            "chosen_by": self.chosen_by,
            "measured": self.measured,
        }
