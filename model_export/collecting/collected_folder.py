"""The folder that events are collected into: part files and the one file that says which of them count."""

from __future__ import annotations

import fcntl
import json
import os
import re
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from app.contract.identity import keys_of
from model_export.data import columns
from model_export.errors import DataError
from model_export.flushing import flush
from model_export.own_folder import refuse_foreign

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from app.contract.tensors import UInt64Array
    from model_export.collecting.event_log_reader import LoggedEvent

STATE_FILE: Final = "collected.json"
PARTS_FOLDER: Final = "parts"
STATE_FORMAT: Final = 1

_LOCK_FILE: Final = ".lock"
_STATE_DRAFT: Final = f".{STATE_FILE}.draft"
_PART_NAME: Final = re.compile(r"part-\d{6,}\.parquet")

EVENT_KEY: Final = "event_key"
RECEIVED: Final = "received"
EVENT_ID: Final = "event_id"

SCHEMA: Final = pa.schema(
    [
        (columns.USER_ID, pa.string()),
        (columns.ITEM_ID, pa.string()),
        (columns.ACTION, pa.string()),
        (columns.TIMESTAMP, pa.int64()),
        (RECEIVED, pa.int64()),
        (EVENT_ID, pa.string()),
        (EVENT_KEY, pa.uint64()),
    ]
)
"""Of a part and of the merged file: the columns of the data contract, then when the service received the event
(epoch milliseconds), its id, and the id's 64-bit key."""


class CollectedFolder:
    """Adds events exactly once, whatever kills the process.

    A part file is written and flushed first. Then `STATE_FILE` is replaced in one step, with the new part's name and
    the new offsets in it. A part that the state does not name does not count and is removed at the next start; so a
    run that was killed in between reads the same events again.

    Args:
        folder: Made if missing. One process at a time, which a lock sees to.

    Attributes:
        offsets: The last collected entry of each partition of the log.
        positions: How many entries the partition had ever had up to there.
        events: How many events the parts hold.

    Raises:
        DataError: If the folder holds files that are not collect's, another process uses it, or the state is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._parts = folder / PARTS_FOLDER
        self._refuse_what_is_not_ours()
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(folder / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._parts.mkdir(exist_ok=True)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise DataError(f"{folder} is in use by another collect, expected one at a time") from error
        state = self._read_state()
        self.offsets: dict[int, str] = {int(partition): entry for partition, entry in state["offsets"].items()}
        self.positions: dict[int, int] = {int(name): count for name, count in state.get("positions", {}).items()}
        self.events: int = state["events"]
        self._files: list[str] = state["files"]
        for path in self._parts.iterdir():
            if path.name not in self._files and _PART_NAME.fullmatch(path.name):
                path.unlink()
        self._known = self._read_known()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._lock)

    def add(self, events: Sequence[LoggedEvent]) -> int:
        """Add events in log order and move the offsets past them; return how many are new: an id counts once a user."""
        keys = keys_of(f"{event.user_id}\0{event.event_id}" for event in events)
        _, first = np.unique(keys, return_index=True)
        is_new = np.zeros(len(keys), bool)
        is_new[first] = True
        is_new &= ~np.isin(keys, self._known)
        new = [event for event, wanted in zip(events, is_new.tolist(), strict=True) if wanted]
        if new:
            name = f"part-{len(self._files) + 1:06d}.parquet"
            _write_durably(self._parts / name, _table_of(new, keys[is_new]))
            self._files.append(name)
        for event in events:
            self.offsets[event.partition] = event.entry_id
            self.positions[event.partition] = event.position
        self.events += len(new)
        self._write_state()
        self._known = np.union1d(self._known, keys)
        return len(new)

    def finish(self, reached: dict[int, tuple[str, int]]) -> None:
        """Move the offsets to the ends of what was read, past entries that were no events or are gone."""
        for partition, (entry, position) in reached.items():
            self.offsets[partition], self.positions[partition] = entry, position
        self._write_state()

    def merge(self) -> Path:
        """Write all parts into one file that ``prepare --format csv`` reads, and return its path."""
        merged = self._folder / columns.INTERACTIONS_FILE
        draft = merged.with_name(f".{merged.name}.draft")
        with pq.ParquetWriter(draft, SCHEMA, compression="zstd") as writer:
            for name in self._files:
                writer.write_table(pq.read_table(self._parts / name, schema=SCHEMA))
        flush(draft)
        draft.replace(merged)
        flush(self._folder)
        return merged

    def _refuse_what_is_not_ours(self) -> None:
        """Refuse a folder without a state, unless it is new or a run was killed before it wrote its first state.

        Such a run made its lock before anything else; so parts without a lock are somebody else's.
        """
        if (self._folder / STATE_FILE).exists():
            self._read_state()
            return
        left_by_a_kill = {_LOCK_FILE, PARTS_FOLDER, _STATE_DRAFT} if (self._folder / _LOCK_FILE).exists() else set()
        refuse_foreign(self._folder, left_by_a_kill.__contains__, "from an earlier collect")
        refuse_foreign(self._parts, lambda name: bool(_PART_NAME.fullmatch(name)), "a part of an earlier collect")

    def _read_state(self) -> dict[str, Any]:
        path = self._folder / STATE_FILE
        try:
            state = json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            return {"offsets": {}, "files": [], "events": 0}
        except (OSError, ValueError) as error:
            raise DataError(f"{path} cannot be read as JSON: {error}") from error
        if not isinstance(state, dict) or state.get("format") != STATE_FORMAT:
            raise DataError(f"{path} is no state of collect, expected format {STATE_FORMAT}")
        return state

    def _write_state(self) -> None:
        path = self._folder / STATE_FILE
        draft = path.with_name(_STATE_DRAFT)
        state = {
            "format": STATE_FORMAT,
            "offsets": self.offsets,
            "positions": self.positions,
            "files": self._files,
            "events": self.events,
        }
        draft.write_text(json.dumps(state, indent=1), "utf-8")
        flush(draft)
        draft.replace(path)
        flush(self._folder)

    def _read_known(self) -> UInt64Array:
        """Return the sorted keys of every event collected so far."""
        keys = [pq.read_table(self._parts / name, columns=[EVENT_KEY]).column(EVENT_KEY) for name in self._files]
        return np.unique(np.concatenate([np.empty(0, np.uint64), *(column.to_numpy() for column in keys)]))


def _table_of(events: list[LoggedEvent], keys: UInt64Array) -> pa.Table:
    return pa.table(
        {
            columns.USER_ID: [event.user_id for event in events],
            columns.ITEM_ID: [event.item_id for event in events],
            columns.ACTION: [event.action for event in events],
            columns.TIMESTAMP: [event.timestamp_ms for event in events],
            RECEIVED: [int(event.entry_id.partition("-")[0]) for event in events],
            EVENT_ID: [event.event_id for event in events],
            EVENT_KEY: keys,
        },
        schema=SCHEMA,
    )


def _write_durably(path: Path, table: pa.Table) -> None:
    pq.write_table(table, path, compression="zstd")
    flush(path)
    flush(path.parent)
