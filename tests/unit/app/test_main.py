"""The composition root opens and closes what it is given."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager

from app.main import create_app
from app.settings import Settings
from tests.api_house import ApiHouse


async def test_stopping_while_opening_does_not_wait_for_what_is_opened():
    """A store that loads for minutes is let go of, in order, as soon as the service stops."""
    closed = []

    @asynccontextmanager
    async def loading(*_):
        try:
            await asyncio.Event().wait()
            yield
        finally:
            closed.append("store")

    application = create_app(Settings(log_level="error"), loading)
    async with asyncio.timeout(5), application.asgi.app.router.lifespan_context(application.asgi.app):
        await asyncio.sleep(0)
    assert (closed, application.service.failure) == (["store"], None)


async def test_the_log_says_what_the_model_runs_on(caplog):
    """Whoever asked for `auto` reads in the line "ready" which provider it became, and why."""
    caplog.set_level(logging.INFO, "seqrank")
    async with ApiHouse():
        ready = next(record for record in caplog.records if record.message == "ready")
    assert (ready.provider, ready.provider_reason) == ("cpu", "asked for")
