"""What clients send: the fields of every request body, with their bounds.

`msgspec` reads and checks a body of 100 candidates in 6 µs as strings and 21 µs as objects, where pydantic takes 15 and
150 µs (measured here), and writes the JSON Schema of the OpenAPI document from these same classes. Unknown members of a
rank request are ignored, so that a Metarank ``ranking`` event is taken as it is; those of events and items are refused,
because what is meant by them would be lost.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta, Struct

MAX_ID_CHARACTERS: Final = 256
MAX_TEXT_CHARACTERS: Final = 20_000
LATEST_TIMESTAMP_MS: Final = 253_402_300_799_999
"""The end of the year 9999."""

_MOMENT: Final = "Epoch milliseconds, a number or digits in a string. Default: now."

Id: TypeAlias = Annotated[str, Meta(min_length=1, max_length=MAX_ID_CHARACTERS)]
Text: TypeAlias = Annotated[str, Meta(min_length=1, max_length=MAX_TEXT_CHARACTERS)]
Timestamp: TypeAlias = (
    Annotated[int, Meta(ge=0, le=LATEST_TIMESTAMP_MS)] | Annotated[str, Meta(pattern="^[0-9]{1,14}$")]
)


class CandidateItem(Struct, frozen=True):
    """A candidate; its text is read if the catalogue does not know the id."""

    id: Id
    text: Annotated[
        Text | None, Meta(description="Encoded on the fly for an item that the catalogue does not know.")
    ] = None


class HistoryEvent(Struct, frozen=True):
    """One event of a history that travels with the request; without an action it counts as the bundle's first."""

    item: Id
    timestamp: Annotated[Timestamp, Meta(description="Epoch milliseconds, a number or digits in a string.")]
    action: Annotated[str | None, Meta(description="One of the bundle's actions. Default: its first.")] = None


class RankRequest(Struct, frozen=True):
    """Rank candidates for a user. `user` may be left out if `history` is given."""

    user: Annotated[
        Id | None,
        Meta(description="Whose stored events are read. Nobody has to be announced: without any, a cold start."),
    ] = None
    items: Annotated[
        list[Id | CandidateItem] | None,
        Meta(description="Candidates, each once: ids, or ids with texts. Default: the whole catalogue."),
    ] = None
    top_k: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="How many to list; more than there are means all. Default: 20."),
    ] = None
    top_n: Annotated[Annotated[int, Meta(ge=1)] | None, Meta(description="Another name of `top_k`.")] = None
    id: Annotated[
        Annotated[str, Meta(max_length=MAX_ID_CHARACTERS)] | None,
        Meta(description="Comes back in the answer. Default: a new one."),
    ] = None
    history: Annotated[
        list[HistoryEvent] | None,
        Meta(description="Events to use instead of the stored ones, in any order: for anonymous sessions."),
    ] = None
    timestamp: Annotated[
        Timestamp | None,
        Meta(description=f"The moment that ages of events are measured from; later events have the age 0. {_MOMENT}"),
    ] = None
    exclude_seen: Annotated[bool, Meta(description="Leave out items of the user's history.")] = False
    timeout_ms: Annotated[
        Annotated[float, Meta(ge=1, le=10_000)] | None,
        Meta(description="The budget of this request, milliseconds. Default: `SEQRANK_TIMEOUT_MS` (100)."),
    ] = None
    strict: Annotated[bool, Meta(description="504 instead of a degraded answer.")] = False
    objective: Annotated[
        dict[str, Annotated[float, Meta(ge=0, le=1000)]] | None,
        Meta(description="Weights of the bundle's objectives, by name; `/info` lists them. Default: the bundle's."),
    ] = None
    diversity: Annotated[
        float,
        Meta(
            ge=0, le=1, description="0: by score alone. 0.3: much less alike, hardly less relevant. 1: variety alone."
        ),
    ] = 0.0
    diversity_method: Annotated[
        Literal["dpp", "mmr"],
        Meta(description="How lists are varied: determinantal point process or maximal marginal relevance."),
    ] = "dpp"
    strategy: Annotated[
        Literal["top_k", "sample"],
        Meta(description="The best, or a draw without replacement by the probability that the scores mean."),
    ] = "top_k"
    temperature: Annotated[
        float,
        Meta(ge=0.001, le=1000, description="Of `sample`: below 1 nearer to the best, above 1 nearer to chance."),
    ] = 1.0
    seed: Annotated[
        Annotated[int, Meta(ge=0, le=2**63 - 1)] | None,
        Meta(description="Of `sample`: the same seed draws the same list. Default: a new draw each time."),
    ] = None
    max_per: Annotated[
        dict[str, Annotated[int, Meta(ge=1, le=1_000_000)]] | None,
        Meta(description='Most items of one value of an item column, for example `{"category": 3}`.'),
    ] = None


class ExactRankRequest(RankRequest, frozen=True, forbid_unknown_fields=True):
    """A rank request without unknown members."""


class FeedbackEvent(Struct, frozen=True, forbid_unknown_fields=True):
    """Something that a user did with an item. The same `id` twice counts once."""

    user: Id
    item: Id
    action: Annotated[str | None, Meta(description="One of the bundle's actions. Default: its first.")] = None
    timestamp: Annotated[Timestamp | None, Meta(description=f"When it happened. {_MOMENT}")] = None
    id: Annotated[
        Id | None,
        Meta(description="Makes a repetition harmless: send one with every event that you may send again."),
    ] = None


class ItemChange(Struct, frozen=True, forbid_unknown_fields=True):
    """An item to add or change; `columns` are what `max_per` counts by and people see."""

    id: Id
    text: Annotated[Text, Meta(description="What the encoder reads, for example title and category.")]
    columns: Annotated[dict[str, str] | None, Meta(description="Values to show and to cap by, by column name.")] = None
