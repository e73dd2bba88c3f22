"""The requests in front of the model, and which of them make the next run."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.inference.batch_policy import BatchPolicy
    from app.inference.waiting_job import Job


class WaitingLine:
    """First come, first served, but for those behind who may share the run of the first.

    Attributes:
        expected_s: How long the runs of everyone in line are expected to take, one by one.
    """

    def __init__(self, policy: BatchPolicy) -> None:
        """Take the policy, which says who may share a run."""
        self._policy = policy
        self._jobs: deque[Job] = deque()
        self.expected_s = 0.0

    def __len__(self) -> int:
        """Return how many are in line, those included who left without being noticed yet."""
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        return iter(self._jobs)

    def join(self, job: Job) -> None:
        """Take the last place."""
        self._jobs.append(job)
        self.expected_s += job.expected_s

    def sweep(self) -> None:
        """Let go of those who have left."""
        self._jobs = deque(job for job in self._jobs if not job.future.done())
        self.expected_s = sum(job.expected_s for job in self._jobs)

    def leave(self) -> list[Job]:
        """Return everyone in line; nobody is in it afterwards."""
        jobs = list(self._jobs)
        self._jobs.clear()
        self.expected_s = 0.0
        return jobs

    def take(self, *, may_hope: bool) -> list[Job]:
        """Take the next run: the first request that still counts, and those behind it that may share its run.

        Who cannot be scored in time is told so.

        Args:
            may_hope: Whether a request that is expected to be late may be tried nevertheless, because nothing else is
                under way and the expectation may be what is wrong.
        """
        jobs: list[Job] = []
        passed: list[Job] = []
        now_s = time.monotonic()
        while self._jobs:
            job = self._jobs.popleft()
            self.expected_s -= job.expected_s
            if job.future.done():
                continue
            if now_s + job.expected_s > job.deadline_s and not may_hope:
                job.expire()
            elif not jobs or self._may_share(job, jobs):
                jobs.append(job)
            else:
                passed.append(job)
            if jobs and (jobs[0].shape is None or len(jobs) >= self._policy.max_batch):
                break
        self._jobs.extendleft(reversed(passed))
        if not self._jobs:
            self.expected_s = 0.0
        else:
            self.expected_s = max(self.expected_s, 0.0) + sum(job.expected_s for job in passed)
        return jobs

    def _may_share(self, job: Job, jobs: list[Job]) -> bool:
        if job.shape != jobs[0].shape:
            return False
        return self._policy.pads_cheaply([*[other.size for other in jobs], job.size])
