"""One run of `simulate`: a seed -> a prepared folder with its truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from model_export.data import columns
from model_export.data.dataset import read_dataset
from model_export.data.interaction_table import SCHEMA
from model_export.data.prepared_folder import new_prepared_folder, write_report
from model_export.data.simulation.catalogue import Catalogue, describe, make_catalogue
from model_export.data.simulation.choice import ACTIONS
from model_export.data.simulation.shoppers import DAY_MS, Behaviour, Timetable, behave, make_timetable
from model_export.data.simulation.truth import Truth, write_truth
from model_export.data.splits import leave_one_out

if TYPE_CHECKING:
    from pathlib import Path

    from app.contract.tensors import Int64Array
    from model_export.data.dataset import Dataset

END_MS: Final = 1_767_225_600_000
"""2026-01-01T00:00:00Z, when the simulated shop's log ends."""

LATE_ITEMS_APPEAR_DAYS: Final = (2, 0)
"""Late products appear between so many days before the end."""


@dataclass(frozen=True, slots=True)
class ShopOptions:
    """The size and nature of the shop.

    Attributes:
        users: U.
        items: N.
        seed: The same seed makes the same shop.
        new_items: Share of products that appear in the last days.
        drift_share: Share of users (with enough events) whose tastes change at once.
    """

    users: int = 12_000
    items: int = 800
    seed: int = 7
    new_items: float = 0.1
    drift_share: float = 0.1


def simulate(output: Path, options: ShopOptions) -> None:
    """Write ``interactions.parquet``, ``items.parquet``, ``truth.npz`` and ``prepared.json``.

    Raises:
        DataError: If ``output`` holds other files.
    """
    with new_prepared_folder(output) as folder:
        random = np.random.default_rng(options.seed)
        catalogue = make_catalogue(
            random,
            items=options.items,
            new_items=options.new_items,
            available_between_ms=(
                END_MS - LATE_ITEMS_APPEAR_DAYS[0] * DAY_MS,
                END_MS - LATE_ITEMS_APPEAR_DAYS[1] * DAY_MS,
            ),
        )
        item_table = describe(catalogue, random)
        timetable = make_timetable(random, users=options.users, end_ms=END_MS, drift_share=options.drift_share)
        behaviour = behave(random, catalogue, timetable)
        pq.write_table(item_table, folder / columns.ITEMS_FILE, compression="zstd")
        pq.write_table(
            _interactions(item_table, timetable, behaviour), folder / columns.INTERACTIONS_FILE, compression="zstd"
        )
        data = read_dataset(folder)
        write_truth(folder, _truth(data, catalogue, timetable, behaviour))
        counts = {"interactions": len(data.rows), "users": data.user_count, "items": data.item_count, "bad_rows": 0}
        write_report(folder, counts)


def user_name(user: int) -> str:
    """Return the id of a simulated user."""
    return f"u{user + 1:06d}"


def _interactions(item_table: pa.Table, timetable: Timetable, behaviour: Behaviour) -> pa.Table:
    users, steps = np.nonzero(behaviour.items_US >= 0)
    times_ms = timetable.times_ms_US[users, steps]
    order = np.argsort(times_ms, kind="stable")
    users, steps = users[order], steps[order]
    names = pa.array([user_name(user) for user in range(len(timetable.counts_U))])
    arrays = [
        names.take(pa.array(users)),
        item_table.column(columns.ITEM_ID).combine_chunks().take(pa.array(behaviour.items_US[users, steps])),
        pa.array(ACTIONS).take(pa.array(behaviour.actions_US[users, steps])),
        pa.array(times_ms[order]),
        pa.nulls(len(users), pa.float32()),
    ]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def _truth(data: Dataset, catalogue: Catalogue, timetable: Timetable, behaviour: Behaviour) -> Truth:
    """Bring the truth into the order of the split that readers will make of the files."""
    targets = leave_one_out(data).test
    number_of = {user_name(user): user for user in range(len(timetable.counts_U))}
    simulated: Int64Array = np.array([number_of[name] for name in data.user_ids])
    starts, ends = data.user_offsets[targets.users], targets.history_ends
    seen = [data.rows[start:end] for start, end in zip(starts, ends, strict=True)]
    return Truth(
        catalogue=catalogue,
        states=behaviour.last_states.take(simulated[targets.users]),
        seen_rows=np.concatenate([*seen, np.empty(0, np.int64)]),
        seen_offsets=np.concatenate([[0], np.cumsum(ends - starts)]).astype(np.int64),
        target_rows=data.rows[targets.events],
        drift_events=timetable.drift_U[simulated],
    )
