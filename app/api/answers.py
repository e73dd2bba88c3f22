"""What clients get: the fields of every answer."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Struct, UnsetType


class RankedItem(Struct, frozen=True):
    """One place of the list. `index` is the position in the request; `probability` is there for a calibrated bundle."""

    item: str
    score: float | None
    rank: int
    index: int | UnsetType = UNSET
    probability: float | UnsetType | None = UNSET


class HistoryUsed(Struct, frozen=True):
    """The behaviour that the list rests on."""

    used: int
    newest_age_ms: int | None
    source: Literal["redis", "request", "unavailable"]


class RankAnswer(Struct, frozen=True):
    """The list, and what it is: `degraded` and `reasons` name the rung of the fallback ladder."""

    id: str
    model: str
    version: str
    took: float
    items: list[RankedItem]
    degraded: bool
    reasons: list[str]
    history: HistoryUsed
    unknown: list[str]
    scored_items: int


class FeedbackAnswer(Struct, frozen=True):
    """Every event is stored; `accepted` counts those that were not known yet."""

    accepted: int
    took: float
    status: Literal["ok"] = "ok"


class UserEvent(Struct, frozen=True):
    """One remembered event."""

    id: str
    item: str
    action: str
    timestamp: int


class UserAnswer(Struct, frozen=True):
    """Recent behaviour, newest first."""

    user: str
    events: list[UserEvent]


class RemovedAnswer(Struct, frozen=True):
    """What was removed, by kind."""

    removed: dict[str, int]
    status: Literal["ok"] = "ok"


class ItemsAnswer(Struct, frozen=True):
    """Every item is stored and rankable by every replica that has seen `catalog_version`."""

    accepted: int
    catalog_version: int
    took: float
    status: Literal["ok"] = "ok"


class ItemAnswer(Struct, frozen=True):
    """An item. `online` says whether it was added or changed since the bundle was made; `prior` is its popularity."""

    id: str
    text: str
    columns: dict[str, str]
    prior: float | None
    online: bool


class LiveAnswer(Struct, frozen=True):
    """The process works."""

    status: Literal["live"] = "live"


class ReadyAnswer(Struct, frozen=True):
    """Requests are answered, by a model on `provider`; `degraded` names what is missing, for example ``redis``."""

    degraded: list[str]
    provider: Literal["cpu", "cuda"]
    status: Literal["ready"] = "ready"


class LatencyAnswer(Struct, frozen=True):
    """One canned request through the real path, and the recent real ones; all in milliseconds."""

    slo_ms: float
    took_ms: float
    stages_ms: dict[str, float]
    recent: dict[str, float]
    within_slo: bool
    degraded: bool


class ErrorAnswer(Struct, frozen=True):
    """What went wrong, in a sentence, and its kind."""

    error: str
    error_type: str
