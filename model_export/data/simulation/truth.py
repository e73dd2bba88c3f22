"""What the simulated shop knows and a ranker has to find out: `truth.npz`.

Arrays in the file: those of `Catalogue` under ``catalogue.NAME``; those of `ShopperStates` under ``state.NAME``, one
row a test target of ``leave_one_out(read_dataset(DATA))``, in that order; the other members of `Truth` under their
own names.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from model_export.data import columns
from model_export.data.simulation.catalogue import Catalogue
from model_export.data.simulation.choice import ShopperStates, next_item_probabilities

if TYPE_CHECKING:
    from pathlib import Path

    from app.contract.tensors import Float32Array, Int64Array

IMPOSSIBLE: Final = np.float32(-1e9)
"""Score of rows that cannot be next: padding, products that are seen or not there yet."""


@dataclass(frozen=True, slots=True)
class Truth:
    """The truth about T leave-one-out test targets.

    Attributes:
        catalogue: The products.
        states: The T shoppers just before their test event.
        seen_rows: ``int64[sum of history lengths]`` item rows of the histories, one history after the other.
        seen_offsets: ``int64[T + 1]`` where each history begins.
        target_rows: ``int64[T]`` what they did then.
        drift_events: ``int64[U]`` events before the change of tastes, -1 for none; in the dataset's user order.
    """

    catalogue: Catalogue
    states: ShopperStates
    seen_rows: Int64Array
    seen_offsets: Int64Array
    target_rows: Int64Array
    drift_events: Int64Array

    def __len__(self) -> int:
        """Return T."""
        return len(self.target_rows)


def oracle_scores(truth: Truth, target_positions: Int64Array) -> Float32Array:
    """Return ``float32[n, N + 1]``: log of the true probability of every item row to be the next one.

    Args:
        truth: Of the data's ``leave_one_out`` split.
        target_positions: ``int64[n]`` positions in its test targets.
    """
    items = len(truth.catalogue.leaf_N)
    seen = np.zeros((len(target_positions), items), bool)
    for place, position in enumerate(target_positions):
        seen[place, truth.seen_rows[truth.seen_offsets[position] : truth.seen_offsets[position + 1]] - 1] = True
    probability = next_item_probabilities(truth.catalogue, truth.states.take(target_positions), seen)
    scores = np.full((len(target_positions), items + 1), IMPOSSIBLE, np.float32)
    np.log(probability, out=scores[:, 1:], where=probability > 0, casting="same_kind")
    return scores


def write_truth(folder: Path, truth: Truth) -> None:
    """Write ``truth.npz`` into a prepared folder."""
    arrays = {
        **{f"catalogue.{name}": array for name, array in _arrays(truth.catalogue).items()},
        **{f"state.{name}": array for name, array in _arrays(truth.states).items()},
        "seen_rows": truth.seen_rows,
        "seen_offsets": truth.seen_offsets,
        "target_rows": truth.target_rows,
        "drift_events": truth.drift_events,
    }
    np.savez_compressed(folder / columns.TRUTH_FILE, allow_pickle=False, **arrays)


def read_truth(folder: Path) -> Truth:
    """Read ``truth.npz``.

    Raises:
        FileNotFoundError: If the folder has none: its data is not simulated.
    """
    with np.load(folder / columns.TRUTH_FILE) as file:
        return Truth(
            catalogue=Catalogue(**{name: file[f"catalogue.{name}"] for name in _names(Catalogue)}),
            states=ShopperStates(**{name: file[f"state.{name}"] for name in _names(ShopperStates)}),
            seen_rows=file["seen_rows"],
            seen_offsets=file["seen_offsets"],
            target_rows=file["target_rows"],
            drift_events=file["drift_events"],
        )


def _names(kind: type[Catalogue | ShopperStates]) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]


def _arrays(record: Catalogue | ShopperStates) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    return {name: getattr(record, name) for name in _names(type(record))}
