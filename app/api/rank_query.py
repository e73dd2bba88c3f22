"""Turns a rank request into the query that ranking takes."""

from __future__ import annotations

import time
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING, Final, cast

import msgspec
import numpy as np

from app.api.schemas import CandidateItem, RankRequest
from app.contract.events import NO_HISTORY, StoredHistory
from app.contract.identity import keys_of
from app.errors import EmptyCandidates, InvalidRequest
from app.ranking.budget import Budget
from app.ranking.query import RankQuery
from app.selection.list_rules import ListRules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.api.limits import ApiLimits
    from app.api.schemas import HistoryEvent

DEFAULT_TOP_K: Final = 20
NEARLY: Final = 0.75
"""How like a field's a name has to be to be taken for a mistake; see `difflib.get_close_matches`."""

SHORTEST_MISSPELT: Final = 4
"""Shorter names are like many."""

SECONDS: Final = range(1_000_000_000, 2_200_000_000)
"""Epoch seconds from 2001 to 2039; as milliseconds they are two weeks of January 1970, and nobody's clicks."""

_FIELDS: Final = RankRequest.__struct_fields__
LONGEST_MISSPELT: Final = 2 * max(map(len, _FIELDS))
"""Longer names are like none."""

MOST_LOOKED_AT: Final = 50
"""A comparison takes some 70 µs, and a body has room for a hundred thousand members."""

_NAMES: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def query_of(
    request: RankRequest, *, limits: ApiLimits, actions: Sequence[str], columns: Sequence[str], started_s: float
) -> RankQuery:
    """Return the query.

    Args:
        request: Checked field by field.
        limits: What it may ask, and its budget where it names none.
        actions: The bundle's actions.
        columns: Item columns that ``max_per`` may name.
        started_s: `time.monotonic` when the request arrived.

    Raises:
        EmptyCandidates: If ``items`` is empty.
        InvalidRequest: If fields contradict each other, or something is named twice or not known.
    """
    if request.user is None and request.history is None:
        raise InvalidRequest("neither user nor history is given, expected one of them", path="user")
    if request.top_k and request.top_n and request.top_k != request.top_n:
        raise InvalidRequest(f"{request.top_n} is not top_k, {request.top_k}; expected one of the two", path="top_n")
    item_ids, texts = _candidates(request.items, limits.max_items)
    now_ms = timestamp_ms(request.timestamp, now_ms=time.time_ns() // 1_000_000, path="timestamp")
    timeout_ms = limits.timeout_ms if request.timeout_ms is None else request.timeout_ms
    return RankQuery(
        budget=Budget(started_s, timeout_ms / 1000.0),
        now_ms=now_ms,
        user=request.user,
        item_ids=item_ids,
        texts=texts,
        history=None if request.history is None else _history(request.history, actions, limits.max_items),
        rules=_rules(request, columns),
        objective=request.objective or {},
        exclude_seen=request.exclude_seen,
        strict=request.strict,
    )


def refuse_misspelt(body: bytes) -> None:
    """Refuse a request with a member whose name is nearly that of a field: what it asks for would be passed over.

    Other unknown members are ignored, because a Metarank event has some.

    Args:
        body: A rank request that is right but for unknown members.

    Raises:
        InvalidRequest: If there is such a member.
    """
    try:
        names = list(_NAMES.decode(body))
    except (msgspec.DecodeError, ValueError, RecursionError):
        # what is not UTF-8, or too deep, inside of a member that nobody reads is ignored like the member
        return
    unknown = [name for name in names if name not in _FIELDS and SHORTEST_MISSPELT <= len(name) <= LONGEST_MISSPELT]
    for name in unknown[:MOST_LOOKED_AT]:
        near = _nearest_field(name)
        if near is not None:
            whole = ", or none for the whole catalogue" if near == "items" else ""
            raise InvalidRequest(f"there is no such field, expected {near}{whole}", path=name)


@lru_cache(maxsize=256)
def _nearest_field(name: str) -> str | None:
    """Return the field that a name is nearly; the same client sends the same names each time."""
    near = get_close_matches(name.lower(), _FIELDS, n=1, cutoff=NEARLY)
    return near[0] if near else None


def timestamp_ms(value: int | str | None, *, now_ms: int, path: str) -> int:
    """Return a timestamp of a request as epoch milliseconds.

    Raises:
        InvalidRequest: If it must be in seconds, see `SECONDS`.
    """
    if value is None:
        return now_ms
    milliseconds = int(value)
    if milliseconds in SECONDS:
        raise InvalidRequest(f"{value} looks like seconds, expected epoch milliseconds ({value}000)", path=path)
    return milliseconds


def action_of(name: str | None, actions: Sequence[str], *, path: str) -> str:
    """Return an action's name, by default the bundle's first.

    Raises:
        InvalidRequest: If the bundle does not have it.
    """
    if name is None:
        return actions[0]
    if name not in actions:
        raise InvalidRequest(f"the bundle has no action {name!r}, expected one of: {', '.join(actions)}", path=path)
    return name


def _candidates(items: list[str | CandidateItem] | None, most: int) -> tuple[list[str] | None, dict[int, str]]:
    if items is None:
        return None, {}
    if not items:
        raise EmptyCandidates("items is empty, expected at least one, or no items for the whole catalogue")
    if len(items) > most:
        raise InvalidRequest(f"there are {len(items)} items, expected at most {most}", path="items")
    texts: dict[int, str] = {}
    # the usual request has ids alone: one pass in C tells
    if set(map(type, items)) == {str}:
        ids = cast("list[str]", items)
    else:
        ids = [item.id if isinstance(item, CandidateItem) else item for item in items]
        texts = {
            position: item.text
            for position, item in enumerate(items)
            if isinstance(item, CandidateItem) and item.text is not None
        }
    if len(set(ids)) < len(ids):
        first: dict[str, int] = {}
        twice = next(place for place, item_id in enumerate(ids) if first.setdefault(item_id, place) < place)
        raise InvalidRequest(f"{ids[twice]!r} is named before, expected each item once", path=f"items[{twice}]")
    return ids, texts


def _history(events: list[HistoryEvent], actions: Sequence[str], most: int) -> StoredHistory:
    if len(events) > most:
        raise InvalidRequest(f"there are {len(events)} events, expected at most {most}", path="history")
    if not events:
        return NO_HISTORY
    names = [action_of(event.action, actions, path=f"history[{at}].action") for at, event in enumerate(events)]
    timestamps = np.array(
        [timestamp_ms(event.timestamp, now_ms=0, path=f"history[{at}].timestamp") for at, event in enumerate(events)],
        np.int64,
    )
    order = np.argsort(timestamps, kind="stable")
    return StoredHistory(
        item_keys_E=keys_of([event.item for event in events])[order],
        action_keys_E=keys_of(names)[order],
        timestamps_ms_E=timestamps[order],
    )


@lru_cache(maxsize=64)
def _plain_rules(top_k: int) -> ListRules:
    return ListRules(top_k=top_k)


def _rules(request: RankRequest, columns: Sequence[str]) -> ListRules:
    if request.diversity == 0.0 and request.strategy == "top_k" and not request.max_per:
        return _plain_rules(request.top_k or request.top_n or DEFAULT_TOP_K)
    for column in request.max_per or ():
        if column not in columns:
            known = ", ".join(columns) or "none"
            raise InvalidRequest(f"items have no column {column!r}, expected one of: {known}", path="max_per")
    return ListRules(
        top_k=request.top_k or request.top_n or DEFAULT_TOP_K,
        diversity=request.diversity,
        method=request.diversity_method,
        strategy=request.strategy,
        temperature=request.temperature,
        seed=request.seed,
        max_per=request.max_per or {},
    )
