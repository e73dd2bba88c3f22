"""One run of `prepare`: a raw source -> a prepared folder."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.parquet as pq

from model_export.data import columns
from model_export.data.impressions import IMPRESSIONS_SCHEMA
from model_export.data.interaction_table import InteractionTable
from model_export.data.item_table import build_item_table, items_named_by_id
from model_export.data.prepared_folder import new_prepared_folder, write_report

if TYPE_CHECKING:
    from pathlib import Path

    from model_export.data.bad_rows import BadRows
    from model_export.data.readers.raw_rows import RawSource, RowBatches

SECONDS_BETWEEN_REPORTS: Final = 2.0
ACTIONS_SHOWN: Final = 12


@dataclass(frozen=True, slots=True)
class PreparationOptions:
    """What does not depend on the format.

    Attributes:
        output: The folder to write.
        max_bad_rows: How many bad rows are left out without refusing.
        text_columns: Item columns that make the text; None for the format's choice.
        action: The action of interactions that name none; None for the format's choice.
        drop_unused_items: Leave out items without interactions.
        time_unit: One of `model_export.data.timestamps.TIME_UNITS`.
    """

    output: Path
    max_bad_rows: int = 0
    text_columns: tuple[str, ...] | None = None
    action: str | None = None
    drop_unused_items: bool = False
    time_unit: str = "auto"


def say(sentence: str) -> None:
    """Write a sentence of progress to stderr."""
    print(sentence, file=sys.stderr, flush=True)


def prepare(source: RawSource, options: PreparationOptions, bad_rows: BadRows) -> dict[str, int]:
    """Write the prepared folder; return counts: interactions, users, items, bad_rows.

    Raises:
        DataError: If the input is not what its format says, or has too many bad rows. Nothing is written then.
    """
    with new_prepared_folder(options.output) as folder:
        item_table = _item_table(source, options, bad_rows)
        events = InteractionTable(
            None if item_table is None else item_table.column(columns.ITEM_ID).to_pylist(),
            action=options.action or source.action,
            time_unit=options.time_unit,
            bad_rows=bad_rows,
        )
        _collect(source, events)
        bad_rows.refuse_past(options.max_bad_rows)
        if bad_rows.total:
            say(f"left out {bad_rows.total:,} bad rows ({bad_rows.summary()}):{bad_rows.shown()}")
        say(f"sorting and writing {len(events):,} interactions")
        events.write(folder / columns.INTERACTIONS_FILE)
        _say_what_came(events)
        item_table = items_named_by_id(events.item_ids) if item_table is None else item_table
        item_table = _without_unused(item_table, events, drop=options.drop_unused_items)
        pq.write_table(item_table, folder / columns.ITEMS_FILE, compression="zstd")
        counts = {
            "interactions": len(events),
            "users": events.user_count(),
            "items": item_table.num_rows,
            "bad_rows": bad_rows.total,
        }
        if source.impressions is not None:
            counts["impressions"] = _write_impressions(source.impressions(), folder / columns.IMPRESSIONS_FILE)
        write_report(folder, counts)
    return counts


def _say_what_came(events: InteractionTable) -> None:
    """Say what a person would notice at once if a column or a unit was misread."""
    say(f"actions: {_listed(events.action_counts())}")
    first, last = (datetime.fromtimestamp(at_ms / 1000, UTC) for at_ms in events.time_range_ms())
    say(f"times: {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC")
    if repeated := events.repetition_count():
        say(
            f"{repeated:,} interactions repeat an earlier one (same user, item, action and time); they are kept, but "
            "if they come from logging twice, then what is measured on them is too good"
        )


def _listed(counts: dict[str, int]) -> str:
    """Return the most frequent names with their counts: ``view (1,200), cart (7)``."""
    shown = [f"{name} ({count:,})" for name, count in list(counts.items())[:ACTIONS_SHOWN]]
    return ", ".join([*shown, *(["..."] if len(counts) > len(shown) else [])])


def _item_table(source: RawSource, options: PreparationOptions, bad_rows: BadRows) -> pa.Table | None:
    if source.items is None:
        say("the source has no item texts: the id stands in for the text, so new items cannot be ranked")
        return None
    wanted = options.text_columns if options.text_columns is not None else source.text_columns
    return build_item_table(source.items(), wanted, bad_rows, say)


def _without_unused(item_table: pa.Table, events: InteractionTable, *, drop: bool) -> pa.Table:
    used = events.item_is_used()
    if drop:
        return item_table.filter(pa.array(used))
    if not used.all():
        say(f"{int((~used).sum()):,} of {len(used):,} items have no interaction; they can still be recommended")
    return item_table


def _collect(source: RawSource, events: InteractionTable) -> None:
    started = reported = time.monotonic()
    for rows in source.interactions():
        events.add(rows)
        now = time.monotonic()
        if now - reported > SECONDS_BETWEEN_REPORTS:
            reported = now
            say(f"{len(events):,} interactions read, {len(events) / (now - started):,.0f} a second")


def _write_impressions(batches: RowBatches, path: Path) -> int:
    """Stream impressions to Parquet; return how many."""
    written = 0
    with pq.ParquetWriter(path, IMPRESSIONS_SCHEMA, compression="zstd") as writer:
        for rows in batches:
            writer.write_table(pa.table(rows.columns, schema=IMPRESSIONS_SCHEMA))
            written += len(rows)
    return written
