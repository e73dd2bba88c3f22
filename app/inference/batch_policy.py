"""How requests become runs on this machine: a choice that is made once, at warm-up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from app.inference.batch_layout import BatchLayout


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPolicy:
    """The choice.

    Attributes:
        workers: Threads that run the model side by side.
        layout: Shapes of runs.
        max_batch: Most requests in one run.
        max_cells: Most candidates in one run, padding included.
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
    inline_below_s: float = 0.0
    handoff_s: float = 0.0
    chosen_by: str = "setting"
    measured: dict[str, Any] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """Return the choice as ``/info`` shows it."""
        return {
            "workers": self.workers,
            "max_batch": self.max_batch,
            "batch_buckets": list(self.layout.batch_buckets),
            "candidate_buckets": list(self.layout.candidate_buckets),
            "history_buckets": list(self.layout.history_buckets),
            "inline_below_ms": round(self.inline_below_s * 1000.0, 3),
            "handoff_ms": round(self.handoff_s * 1000.0, 3),
            "chosen_by": self.chosen_by,
            "measured": self.measured,
        }
