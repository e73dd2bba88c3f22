"""What ranking needs from the outside world, as Protocols; adapters satisfy them by shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.contract.encoding import EncodedHistory
    from app.contract.events import Event, StoredHistory
    from app.contract.online_items import ItemDescription, NewItem
    from app.contract.tensors import Float32Array, Int64Array, UInt64Array


class HistoryStore(Protocol):
    """Recent behaviour, kept outside the process."""

    async def read(self, user: str, *, timeout_s: float) -> StoredHistory:
        """Return the user's recent events in one round trip; no events for an unknown user.

        Raises:
            StorageUnavailable: If the store did not answer within ``timeout_s``, or its circuit is open.
        """

    async def append(self, events: Sequence[Event]) -> int:
        """Store all events or none; return how many are new (an id that is known counts once).

        Raises:
            StorageUnavailable: If the store did not acknowledge.
        """

    async def recent_events(self, user: str) -> list[Event]:
        """Return the user's events in full, newest first."""

    async def forget(self, user: str) -> dict[str, int]:
        """Remove every trace of the user; return what was removed, by kind."""


class Scorer(Protocol):
    """The line in front of the model."""

    async def score(
        self,
        history: EncodedHistory,
        candidate_rows_C: Int64Array,
        *,
        objective_weights_O: Float32Array | None,
        deadline_s: float,
        alone: bool = False,
    ) -> Float32Array:
        """Return ``float32[C]``, one finite score a candidate, in the order given.

        Args:
            history: The user's encoded history.
            candidate_rows_C: ``int64[C]`` item rows.
            objective_weights_O: Weights of the objectives, or None for the bundle's default.
            deadline_s: `time.monotonic` seconds after which nobody waits for the answer.
            alone: Whether no other request is being ranked, so that a short run may hold the event loop.

        Raises:
            Overloaded: If the line is full. Nothing was started.
            BudgetExceeded: If the deadline cannot be met.
            ScoringFailed: If the model failed.
            ShuttingDown: If the service is draining.
        """

    async def score_catalog(self, history: EncodedHistory, *, deadline_s: float) -> Float32Array:
        """Return ``float32[rows of the table]``, the dot-product score of the whole catalogue; row 0 is padding."""

    def affordable(self, candidates: int, *, deadline_s: float) -> int:
        """Return how many of ``candidates`` can be scored by the deadline, judged by the runs so far; 0 for none."""


class StageTimer(Protocol):
    """A stop watch with named laps."""

    def lap(self, stage: str) -> None:
        """Book the time since the last lap, or since the start, on a stage."""


class ItemCatalog(Protocol):
    """Items: ids, rows, vectors, texts and priors, those added online included."""

    @property
    def version(self) -> int:
        """The stored version of online items that this replica knows."""

    def rows_of_ids(self, ids: Sequence[str]) -> Int64Array:
        """Return ``int64[n]`` rows, 0 for unknown ids."""

    def rows_of_keys(self, keys: UInt64Array) -> Int64Array:
        """Return ``int64[n]`` rows of 64-bit item keys, 0 for unknown ones."""

    def ids_of_rows(self, rows: Int64Array) -> list[str]:
        """Return the ids of rows, all greater than 0."""

    def live_rows(self) -> Int64Array:
        """Return every rankable row (deleted items left out), ascending."""

    def prior_of_rows(self, rows: Int64Array) -> Float32Array:
        """Return ``float32[n]`` popularity priors; higher is more popular, row 0 is -inf."""

    def vectors_of_rows(self, rows: Int64Array) -> Float32Array:
        """Return ``float32[n, D]`` item vectors."""

    def column_of_rows(self, column: str, rows: Int64Array) -> list[str]:
        """Return an item column (for example ``category``) of rows; empty where it is unknown."""

    async def refresh(self, stored_version: int) -> None:
        """Catch up with items that other replicas added, if ``stored_version`` is newer than ours."""

    async def rows_of_texts(self, texts: Sequence[str]) -> Int64Array:
        """Encode texts on the fly into rows that live as long as the process cares to cache them."""


class ItemEditor(Protocol):
    """Items, as ``/items`` changes and shows them; the catalogue satisfies it beside `ItemCatalog`."""

    async def put_items(self, items: Sequence[NewItem]) -> int:
        """Encode, store and publish items, all or none; return the catalogue version from which on they rank.

        Raises:
            Overloaded: If the encoder's line is full. Nothing was stored.
            StorageUnavailable: If the store did not acknowledge.
        """

    async def delete_items(self, item_ids: Sequence[str]) -> int:
        """Make items unknown everywhere; return how many were known."""

    async def describe_item(self, item_id: str) -> ItemDescription | None:
        """Return what is known of an item, or None if it is unknown or deleted."""
