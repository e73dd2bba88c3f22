"""A ranking service over small stand-ins."""

# ruff: noqa: D102 -- named for what they do

from __future__ import annotations

import time

from app.contract.events import Event
from app.ranking.actions import ActionIds
from app.ranking.budget import Budget
from app.ranking.history import HistoryReader
from app.ranking.list_maker import ListMaker
from app.ranking.query import RankQuery
from app.ranking.scoring import CandidateScoring
from app.ranking.service import RankingService
from app.selection.list_rules import ListRules
from tests.service_fakes import ACTIONS, FakeCatalog, FakeScorer, FakeStore

NOW_MS = 1_000_000


class House:
    """A ranking service with its fakes."""

    def __init__(self, calibration=None) -> None:
        self.catalog, self.store, self.scorer = FakeCatalog(), FakeStore(), FakeScorer()
        self.service = RankingService(
            catalog=self.catalog,
            histories=HistoryReader(
                self.store, self.catalog, ActionIds(ACTIONS), history_length=3, store_timeout_s=0.02
            ),
            scoring=CandidateScoring(self.scorer, self.catalog),
            list_maker=ListMaker(self.catalog, calibration),
            objectives=("click", "purchase"),
            rescored=5,
        )

    async def rank(self, items=("i1", "i2", "i3"), *, user="u", timeout_s=1.0, top_k=20, **query):
        laps = []

        class Laps:
            def lap(self, stage):
                laps.append(stage)

        rules = query.pop("rules", ListRules(top_k=top_k))
        return await self.service.rank(
            RankQuery(
                budget=Budget(time.monotonic(), timeout_s), now_ms=NOW_MS, user=user,
                item_ids=None if items is None else list(items), rules=rules, **query,
            ),
            Laps(),
        )  # fmt: skip

    async def click(self, item, timestamp_ms=NOW_MS - 1000, action="click"):
        await self.store.append([Event(f"{item}{timestamp_ms}", "u", item, action, timestamp_ms)])
