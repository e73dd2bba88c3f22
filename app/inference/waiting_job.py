"""One request in line for the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.errors import BudgetExceeded

if TYPE_CHECKING:
    import asyncio

    from app.contract.encoding import EncodedHistory
    from app.contract.tensors import Float32Array
    from app.inference.batch_layout import Question


@dataclass(slots=True, eq=False)
class Job:
    """A question with its deadline and the future that its caller awaits.

    Attributes:
        question: What to score, or the history alone for the whole catalogue.
        shape: What it must share with its batch; None for the whole catalogue, which runs alone.
        size: Events and candidates of a run of its own, padding included; any for the whole catalogue.
        deadline_s: `time.monotonic` seconds after which nobody waits.
        expected_s: How long its run is expected to take.
        future: Settled exactly once.
    """

    question: Question | EncodedHistory
    shape: tuple[int, int, bool] | None
    size: tuple[int, int]
    deadline_s: float
    expected_s: float
    future: asyncio.Future[Float32Array]

    def resolve(self, scores_C: Float32Array) -> None:
        """Give the caller its scores, if it still waits."""
        if not self.future.done():
            self.future.set_result(scores_C)

    def fail(self, error: Exception) -> None:
        """Give the caller an error, if it still waits."""
        if not self.future.done():
            self.future.set_exception(error)
            # its caller may be cancelled in this very moment: the error then counts as seen
            self.future.exception()

    def expire(self) -> None:
        """Tell the caller that its time is up, if it still waits."""
        self.fail(BudgetExceeded("the model did not answer in time"))
