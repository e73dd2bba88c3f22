"""The whole HTTP interface over small stand-ins, without a socket."""

# ruff: noqa: D102, ARG002, ASYNC110 -- named for what they do; polls what has no event

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

import httpx

from app.api.serving import Serving
from app.main import create_app
from app.ranking.actions import ActionIds
from app.ranking.history import HistoryReader
from app.ranking.list_maker import ListMaker
from app.ranking.scoring import CandidateScoring
from app.ranking.service import RankingService
from app.settings import Settings
from tests.service_fakes import ACTIONS, FakeCatalog, FakeScorer, FakeStore


class ApiHouse:
    """An application whose parts can be broken one by one; use it with ``async with``."""

    def __init__(self, **settings) -> None:
        self.catalog, self.store, self.scorer = FakeCatalog(), FakeStore(), FakeScorer()
        self.trouble = self.unready = None
        self.degraded = []
        self.may_open = asyncio.Event()
        self.may_open.set()
        self.closed = False
        self.opening_error = None
        self.application = create_app(Settings(**{"log_level": "error", **settings}), self._open)
        self.service = self.application.service
        self._stack = AsyncExitStack()

    async def __aenter__(self):
        app = self.application.asgi
        while hasattr(app, "app") and not hasattr(app, "router"):
            app = app.app
        await self._stack.enter_async_context(app.router.lifespan_context(app))
        transport = httpx.ASGITransport(self.application.asgi, raise_app_exceptions=False)
        self.client = await self._stack.enter_async_context(
            httpx.AsyncClient(transport=transport, base_url="http://seqrank")
        )
        if self.may_open.is_set():
            await self.opened()
        return self

    async def __aexit__(self, *exception):
        self.may_open.set()
        await self._stack.aclose()

    async def opened(self):
        while self.service.serving is None and self.service.failure is None:
            await asyncio.sleep(0)

    async def rank(self, path="/rank", **body):
        return await self.client.post(path, json=body)

    @asynccontextmanager
    async def _open(self, settings, _):
        await self.may_open.wait()
        if self.opening_error is not None:
            raise self.opening_error
        ranking = RankingService(
            catalog=self.catalog,
            histories=HistoryReader(
                self.store, self.catalog, ActionIds(ACTIONS), history_length=50, store_timeout_s=0.02
            ),
            scoring=CandidateScoring(self.scorer, self.catalog),
            list_maker=ListMaker(self.catalog, None),
            objectives=("click", "purchase"),
            rescored=500,
        )
        yield Serving(
            name="shop", version="1", actions=ACTIONS, columns=("parity",), provider="cpu", provider_reason="asked for",
            ranking=ranking, history=self.store, items=self.catalog, line=self.scorer,
            info=lambda: {"name": "shop", "version": "1"},
            trouble=lambda: self.trouble, unready=lambda: self.unready, degraded=lambda: self.degraded,
            canned_items=("i1", "i2"),
        )  # fmt: skip
        self.closed = True
