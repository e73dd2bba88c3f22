"""Replays the golden requests again and again while the service is idle, and says when they fail."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Final, Self

from app.errors import BundleError, ScoringFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.inference.bundle import Bundle

IDLE_CHECK_S: Final = 1.0
"""How soon a busy service is asked again."""

MOST_PUT_OFF: Final = 60
"""How often a replay is put off because the service is busy."""

logger = logging.getLogger(__name__)


class CertificateWatch:
    """Owns one task. A replay that fails makes the service unready; one that passes later makes it ready again.

    Attributes:
        failure: Why the latest replay failed, or None.
        latest: The latest replay that passed.
    """

    def __init__(self, bundle: Bundle, *, every_s: float, is_busy: Callable[[], bool]) -> None:
        """Watch a bundle whose replay at opening passed.

        Args:
            bundle: What serves.
            every_s: Time between replays, seconds; 0 for none.
            is_busy: Whether to wait a little.
        """
        self._bundle = bundle
        self._every_s = every_s
        self._is_busy = is_busy
        self._task: asyncio.Task[None] | None = None
        self.latest = bundle.certificate
        self.failure: str | None = None

    async def __aenter__(self) -> Self:
        if self._every_s > 0:
            self._task = asyncio.create_task(self._watch(), name="certificate-watch")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def check(self) -> None:
        """Replay once, in a thread."""
        try:
            self.latest = await asyncio.to_thread(self._bundle.replay_golden)
        except (BundleError, ScoringFailed) as error:
            self.failure = f"the certificate failed: {error}"
            logger.error("%s", self.failure)  # noqa: TRY400 -- the sentence is enough
        else:
            self.failure = None

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            for _ in range(MOST_PUT_OFF):
                if not self._is_busy():
                    break
                await asyncio.sleep(IDLE_CHECK_S)
            await self.check()
