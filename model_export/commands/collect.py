r"""Drain the service's event log to Parquet, each event exactly once.

Writes OUTPUT/parts/*.parquet and OUTPUT/collected.json (what counts, and where to go on), then merges the parts into
OUTPUT/interactions.parquet, which `prepare --format csv --input OUTPUT` reads. Run it again, as often as you like, at
least once in the log's retention time: it goes on where it stopped, also after a kill. OUTPUT is a new folder or
one that collect has written. With --bundle the items of that bundle are written beside it, with the texts that were
added and changed online, so that a model can be trained from this folder alone.

Example:
  python -m model_export collect --redis redis://localhost:6379/0 --output build/collected --bundle build/demo/bundle
  python -m model_export prepare --format csv --time-unit ms --input build/collected --output build/next
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow.parquet as pq

from app.contract.item_columns import ITEM_KEY, PRIOR
from app.contract.manifest import ITEMS_FILE
from model_export.collecting.collected_folder import CollectedFolder
from model_export.collecting.current_items import current_items, stored_items
from model_export.collecting.event_log_reader import EventLogReader
from model_export.collecting.service_redis import open_redis
from model_export.data import columns
from model_export.errors import DataError
from model_export.option_values import whole_number

if TYPE_CHECKING:
    import argparse

    from model_export.collecting.event_log_reader import LoggedEvent

EVENTS_A_PART: Final = 100_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``collect``."""
    parser.add_argument(
        "--redis",
        required=True,
        metavar="URL",
        help="the service's Redis: redis://, rediss://, redis+cluster://, or unix:///DATA_DIR/valkey.sock",
    )
    parser.add_argument("--output", required=True, type=Path, metavar="DIR", help="folder to collect into")
    parser.add_argument("--bundle", type=Path, metavar="DIR", help="also write this bundle's items to OUTPUT")
    parser.add_argument(
        "--events-a-part",
        type=whole_number(1),
        default=EVENTS_A_PART,
        metavar="N",
        help=f"write a part whenever about N events were read (default {EVENTS_A_PART:,})",
    )


def run(arguments: argparse.Namespace) -> int:
    """Collect; return 0."""
    if arguments.bundle is not None and not (arguments.bundle / ITEMS_FILE).is_file():
        raise DataError(f"--bundle {arguments.bundle} has no {ITEMS_FILE}, expected a bundle")
    with CollectedFolder(arguments.output) as folder:
        reader = EventLogReader(arguments.redis)
        try:
            added = _drain(reader, folder, arguments.events_a_part)
            folder.finish(reader.reached)
        finally:
            reader.close()
        merged = folder.merge()
        if arguments.bundle is not None:
            _write_items(arguments.bundle, arguments.output, arguments.redis)
        print(f"{merged}: {folder.events:,} events, {added:,} of them new")
        prepare = f"prepare --format csv --time-unit ms --input {arguments.output} --output DATA"
        print(f"next: python -m model_export {prepare}")
        if reader.damaged:
            print(f"{reader.damaged:,} entries of the log were left out: a field is missing or no number")
        if reader.missing:
            print(
                f"{reader.missing:,} entries of the log were gone before they were collected: deleted with their "
                "users, or trimmed: collect more often, or raise SEQRANK_EVENT_LOG_DAYS or SEQRANK_EVENT_LOG_ENTRIES"
            )
    return 0


def _drain(reader: EventLogReader, folder: CollectedFolder, events_a_part: int) -> int:
    added = 0
    waiting: list[LoggedEvent] = []
    for page in reader.read_after(folder.offsets, folder.positions):
        waiting += page
        if len(waiting) >= events_a_part:
            added += folder.add(waiting)
            waiting = []
            print(f"{folder.events:,} events", flush=True)
    if waiting:
        added += folder.add(waiting)
    return added


def _write_items(bundle: Path, output: Path, redis_url: str) -> None:
    """Write the bundle's items as they are now, without the columns that only a bundle has."""
    items = pq.read_table(bundle / ITEMS_FILE)
    client = open_redis(redis_url)
    try:
        found = current_items(items.drop_columns([PRIOR, ITEM_KEY]), stored_items(client))
    finally:
        client.close()
    draft = output / f".{columns.ITEMS_FILE}.draft"
    pq.write_table(found.table, draft)
    draft.replace(output / columns.ITEMS_FILE)
    print(
        f"{output / columns.ITEMS_FILE}: {found.table.num_rows:,} items, {found.added:,} added and {found.changed:,} "
        f"changed online; {found.deleted:,} deleted ones are kept for their events"
    )
    if found.left_out:
        print(f"{found.left_out:,} changed values were left out: the bundle has no such column, or one of another type")
