"""Plain FastAPI: a synchronous route (so FastAPI runs it in its thread pool) around `session.run`."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from bench.peer_servers.plain_ranker import PlainRanker


class RankRequest(BaseModel):
    """A user and candidates."""

    user: str
    items: list[str]
    top_k: int = 20


class RankedItem(BaseModel):
    """One place in the list."""

    item: str
    index: int
    score: float
    rank: int


class RankAnswer(BaseModel):
    """The ranked list."""

    items: list[RankedItem]


app = FastAPI()
ranker = PlainRanker()


@app.get("/health")
def health() -> dict[str, str]:
    """Answer when the model is loaded."""
    return {"status": "ok"}


@app.post("/rank")
def rank(request: RankRequest) -> RankAnswer:
    """Rank one request."""
    answer: dict[str, Any] = ranker.rank([request.model_dump()])[0]
    return RankAnswer(**answer)
