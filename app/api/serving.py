"""What the routes need, and whether it is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from app.errors import NotReady, ShuttingDown, UnknownModel
from app.ranking.ports import StageTimer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from app.ranking.ports import HistoryStore, ItemEditor
    from app.ranking.query import Ranking
    from app.ranking.service import RankingService


class Line(Protocol):
    """The line in front of the model, as far as admission asks."""

    @property
    def waiting(self) -> int:
        """How many requests wait."""

    def refuse_if_full(self) -> None:
        """Raise `app.errors.Overloaded` if there is no place."""


class Laps(StageTimer, Protocol):
    """A stop watch that tells its laps."""

    def durations_ms(self) -> dict[str, float]:
        """Return milliseconds by stage."""


class Observer(Protocol):
    """Who is told what happened; metrics and logs are behind it."""

    def timer(self) -> Laps:
        """Return a running stop watch."""

    def ranked(self, ranking: Ranking, timer: Any, *, took_s: float, request_id: str, user: str | None) -> None:
        """A list was made."""

    def fed(self, events: int) -> None:
        """Events were stored."""

    def client_left(self) -> None:
        """A caller was gone before its answer."""

    def answered(self, route: str, status: int) -> None:
        """A request was answered."""

    def recent_latency(self) -> dict[str, float]:
        """Return p50, p95, p99 in milliseconds and the count of recent rank requests."""

    def exposition(self) -> bytes:
        """Return the metrics as Prometheus text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """Everything that answers, once it is open.

    Attributes:
        name: The model's name.
        version: The bundle's version.
        actions: The bundle's actions; the first is the default.
        columns: Item columns that ``max_per`` may name.
        provider: ``cpu`` or ``cuda``: what the model runs on.
        provider_reason: Why, in a sentence.
        ranking: Ranks.
        history: Keeps events.
        items: Keeps items.
        line: The line in front of the model.
        info: What ``/info`` shows.
        trouble: Why liveness fails, or None.
        unready: Why readiness fails, or None.
        degraded: What is missing without failing readiness.
        canned_items: Candidates of the latency probe.
    """

    name: str
    version: str
    actions: Sequence[str]
    provider: Literal["cpu", "cuda"]
    provider_reason: str
    ranking: RankingService
    history: HistoryStore
    items: ItemEditor
    line: Line
    info: Callable[[], Mapping[str, Any]]
    trouble: Callable[[], str | None]
    unready: Callable[[], str | None]
    degraded: Callable[[], list[str]]
    canned_items: Sequence[str] = ()
    columns: Sequence[str] = ()

    def require_model(self, name: str | None) -> None:
        """Raise `UnknownModel` unless ``name`` is None or this model's."""
        if name is not None and name != self.name:
            raise UnknownModel(f"no model is called {name!r}, expected {self.name!r}")


@dataclass(slots=True)
class Service:
    """Where the process is in its life.

    Attributes:
        serving: None until the bundle is open.
        draining: Whether SIGTERM came.
        failure: Why opening failed.
        in_flight: Requests that are being answered, probes left out.
        also_degraded: What is missing beside what `serving` says, without failing readiness.
    """

    serving: Serving | None = None
    draining: bool = False
    failure: str | None = None
    in_flight: int = 0
    also_degraded: Callable[[], list[str]] = list

    def require(self) -> Serving:
        """Return what answers.

        Raises:
            ShuttingDown: If the service is draining.
            NotReady: If it is still starting, or what it loaded has failed its certificate.
        """
        serving = self.serving
        if self.draining:
            raise ShuttingDown("the service is draining and takes no new work")
        if serving is None:
            raise NotReady(self.failure or "the service is starting and has not loaded its bundle yet")
        unready = serving.unready()
        if unready is not None:
            raise NotReady(unready)
        return serving
