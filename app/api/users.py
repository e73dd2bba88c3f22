"""``/users``: what is remembered of a user, and how it is forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.api.answers import RemovedAnswer, UserAnswer, UserEvent
from app.api.reply import Reply, json_reply

if TYPE_CHECKING:
    from app.api.serving import Service


async def show_user(service: Service, user: str) -> Reply:
    """Return the user's recent events, newest first; none for an unknown user."""
    events = await service.require().history.recent_events(user)
    shown = [UserEvent(event.event_id, event.item, event.action, event.timestamp_ms) for event in events]
    return json_reply(UserAnswer(user, shown))


async def forget_user(service: Service, user: str) -> Reply:
    """Remove every trace of the user; return what was removed."""
    return json_reply(RemovedAnswer(await service.require().history.forget(user)))
