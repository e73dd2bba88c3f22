"""``POST /feedback``: events in, acknowledged once they are stored."""

from __future__ import annotations

import time
from secrets import token_hex
from typing import TYPE_CHECKING

from app.api.answers import FeedbackAnswer
from app.api.decoding import BodyDecoder
from app.api.rank_query import action_of, timestamp_ms
from app.api.reply import Reply, json_reply
from app.api.schemas import FeedbackEvent
from app.contract.events import Event
from app.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.api.body import Receive
    from app.api.serving import Observer, Service


class FeedbackEndpoint:
    """Answers feedback; one for the life of the process."""

    def __init__(self, service: Service, observer: Observer, *, max_events: int) -> None:
        """Take the parts.

        Args:
            service: Where the store is.
            observer: Is told of stored events.
            max_events: Most events in one call.
        """
        self._service = service
        self._observer = observer
        self._max_events = max_events
        self._decoder: BodyDecoder[FeedbackEvent | list[FeedbackEvent]] = BodyDecoder(
            FeedbackEvent | list[FeedbackEvent]
        )

    async def __call__(self, body: bytes, receive: Receive, started_s: float) -> Reply:  # noqa: ARG002 -- a lane's shape
        """Store one event or all events of an array, or none of them."""
        serving = self._service.require()
        sent = self._decoder.decode(body)
        several = isinstance(sent, list)
        feedback = sent if isinstance(sent, list) else [sent]
        if len(feedback) > self._max_events:
            raise InvalidRequest(f"there are {len(feedback)} events, expected at most {self._max_events}")
        now_ms = time.time_ns() // 1_000_000
        events = [
            _event_of(entry, serving.actions, now_ms, path=f"[{place}]." if several else "")
            for place, entry in enumerate(feedback)
        ]
        accepted = await serving.history.append(events)
        self._observer.fed(accepted)
        return json_reply(FeedbackAnswer(accepted, round((time.monotonic() - started_s) * 1000.0, 3)))


def _event_of(entry: FeedbackEvent, actions: Sequence[str], now_ms: int, *, path: str) -> Event:
    return Event(
        event_id=entry.id or token_hex(16),
        user=entry.user,
        item=entry.item,
        action=action_of(entry.action, actions, path=f"{path}action"),
        timestamp_ms=timestamp_ms(entry.timestamp, now_ms=now_ms, path=f"{path}timestamp"),
    )
