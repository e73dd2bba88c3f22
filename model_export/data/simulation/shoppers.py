"""Draws shoppers, when they come, and what they do."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from model_export.data.simulation.choice import ACTIONS, FAVOURITES, NO_LEAF, ShopperStates, next_item_probabilities
from model_export.data.simulation.words import STYLES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from app.contract.tensors import Int64Array
    from model_export.data.simulation.catalogue import Catalogue

DAY_MS: Final = 86_400_000
LONGEST_HISTORY: Final = 120
EVENTS_A_VISIT: Final = 4.0
PAUSE_IN_VISIT_S: Final = 50.0
PAUSE_BETWEEN_VISITS_S: Final = 1.5 * 86_400.0
LAST_DAYS: Final = 3
"""Everybody's latest event lies within so many days before the end."""

EARLIEST_DRIFT: Final = 5
EVENTS_AFTER_DRIFT: Final = 4
CART_PROBABILITY: Final = 0.18
PURCHASE_PROBABILITY: Final = 0.12
PURCHASE_FACTOR_IN_TASTE: Final = 1.5


@dataclass(frozen=True, slots=True)
class Timetable:
    """When U shoppers have events, in columns up to the longest history.

    Attributes:
        counts_U: ``int64[U]`` events of each shopper.
        times_ms_US: ``int64[U, S]`` epoch milliseconds, ascending; meaningless after the shopper's last event.
        new_visit_US: ``bool[U, S]``.
        drift_U: ``int64[U]`` the event (counted from 0) at which tastes change, -1 for never.
    """

    counts_U: Int64Array
    times_ms_US: Int64Array
    new_visit_US: NDArray[np.bool_]
    drift_U: Int64Array


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What the shoppers did.

    Attributes:
        items_US: ``int64[U, S]`` product positions, -1 after the last event.
        actions_US: ``int64[U, S]``.
        last_states: Each shopper just before the last event.
    """

    items_US: Int64Array
    actions_US: Int64Array
    last_states: ShopperStates


def make_timetable(random: np.random.Generator, *, users: int, end_ms: int, drift_share: float) -> Timetable:
    """Draw visits and pauses backwards from each shopper's last event."""
    counts_U = np.clip(np.round(random.lognormal(2.75, 0.6, users)), 1, LONGEST_HISTORY).astype(np.int64)
    steps = int(counts_U.max())
    new_visit_US = random.random((users, steps)) < 1.0 / EVENTS_A_VISIT
    new_visit_US[:, 0] = True
    within_s = PAUSE_IN_VISIT_S * random.lognormal(0.0, 0.7, (users, steps))
    between_s = PAUSE_BETWEEN_VISITS_S * random.lognormal(0.0, 0.8, (users, steps))
    gaps_ms_US = np.round(1000.0 * np.where(new_visit_US, between_s, within_s)).astype(np.int64)
    elapsed_ms_US = np.cumsum(gaps_ms_US, axis=1)
    last_ms_U = end_ms - random.integers(0, LAST_DAYS * DAY_MS, users)
    at_last_ms_U = elapsed_ms_US[np.arange(users), counts_U - 1]
    drifts_U = (counts_U >= EARLIEST_DRIFT + EVENTS_AFTER_DRIFT) & (random.random(users) < drift_share)
    latest_U = np.maximum(counts_U - EVENTS_AFTER_DRIFT, EARLIEST_DRIFT)
    return Timetable(
        counts_U=counts_U,
        times_ms_US=elapsed_ms_US + (last_ms_U - at_last_ms_U)[:, None],
        new_visit_US=new_visit_US,
        drift_U=np.where(drifts_U, random.integers(EARLIEST_DRIFT, latest_U + 1), -1),
    )


def behave(random: np.random.Generator, catalogue: Catalogue, timetable: Timetable) -> Behaviour:
    """Let everybody shop: step s draws event s of all who have one, from the true probabilities."""
    users, steps = timetable.times_ms_US.shape
    states = _newcomers(random, catalogue, users)
    last_states = states
    seen_UN = np.zeros((users, len(catalogue.leaf_N)), bool)
    items_US = np.full((users, steps), -1, np.int64)
    actions_US = np.zeros((users, steps), np.int64)
    for step in range(steps):
        active = np.flatnonzero(timetable.counts_U > step)
        states = _changed_tastes(random, catalogue, states, np.flatnonzero(timetable.drift_U == step))
        states = dataclasses.replace(
            states, now_ms_B=timetable.times_ms_US[:, step], new_visit_B=timetable.new_visit_US[:, step]
        )
        last_states = _updated(last_states, states, active)
        now = states.take(active)
        probability_BN = next_item_probabilities(catalogue, now, seen_UN[active])
        chosen = _draw(random, probability_BN)
        acted = _draw_actions(random, catalogue.style_N[chosen] == now.style_B)
        seen_UN[active, chosen] = True
        items_US[active, step], actions_US[active, step] = chosen, acted
        states = _after(states, active, catalogue, chosen, acted)
    return Behaviour(items_US=items_US, actions_US=actions_US, last_states=last_states)


def _newcomers(random: np.random.Generator, catalogue: Catalogue, users: int) -> ShopperStates:
    return ShopperStates(
        favourites_BF=_favourites(random, catalogue, users),
        style_B=random.integers(len(STYLES), size=users),
        leaf_B=np.full(users, NO_LEAF),
        tier_B=np.full(users, -1),
        brand_B=np.full(users, -1),
        action_B=np.zeros(users, np.int64),
        new_visit_B=np.ones(users, bool),
        now_ms_B=np.zeros(users, np.int64),
    )


def _favourites(random: np.random.Generator, catalogue: Catalogue, users: int) -> Int64Array:
    """Draw different leaves, popular ones more often (Gumbel top-k)."""
    leaves = len(catalogue.leaf_popularity_L)
    keys = np.log(catalogue.leaf_popularity_L) + random.gumbel(size=(users, leaves))
    favourites: Int64Array = np.argsort(-keys, axis=1)[:, :FAVOURITES]
    return favourites


def _changed_tastes(
    random: np.random.Generator, catalogue: Catalogue, states: ShopperStates, who: Int64Array
) -> ShopperStates:
    """Give some shoppers another style and new favourites, and let them forget their mission."""
    if not len(who):
        return states
    fresh = _newcomers(random, catalogue, len(who))
    style_shift = random.integers(1, len(STYLES), size=len(who))
    changed = dataclasses.replace(
        fresh, style_B=(states.style_B[who] + style_shift) % len(STYLES), action_B=states.action_B[who]
    )
    return _updated(states, changed, who, from_all=False)


def _updated(states: ShopperStates, newer: ShopperStates, who: Int64Array, *, from_all: bool = True) -> ShopperStates:
    """Return ``states`` with the shoppers ``who`` taken from ``newer`` (which is about all shoppers, or just those)."""
    arrays = {}
    for field in dataclasses.fields(states):
        array = getattr(states, field.name).copy()
        fresh = getattr(newer, field.name)
        array[who] = fresh[who] if from_all else fresh
        arrays[field.name] = array
    return ShopperStates(**arrays)


def _after(
    states: ShopperStates, who: Int64Array, catalogue: Catalogue, chosen: Int64Array, acted: Int64Array
) -> ShopperStates:
    newer = states.take(who)
    newer = dataclasses.replace(
        newer,
        leaf_B=catalogue.leaf_N[chosen],
        tier_B=catalogue.tier_N[chosen],
        brand_B=catalogue.brand_N[chosen],
        action_B=acted,
    )
    return _updated(states, newer, who, from_all=False)


def _draw(random: np.random.Generator, probability_BN: NDArray[np.float64]) -> Int64Array:
    cumulative_BN = np.cumsum(probability_BN, axis=1)
    threshold_B = random.random(len(probability_BN)) * cumulative_BN[:, -1]
    drawn: Int64Array = (cumulative_BN <= threshold_B[:, None]).sum(axis=1)
    return drawn


def _draw_actions(random: np.random.Generator, in_taste_B: NDArray[np.bool_]) -> Int64Array:
    factor_B = np.where(in_taste_B, PURCHASE_FACTOR_IN_TASTE, 1.0)
    chance_B = random.random(len(in_taste_B))
    bought_B = chance_B < PURCHASE_PROBABILITY * factor_B
    carted_B = chance_B < (PURCHASE_PROBABILITY + CART_PROBABILITY) * factor_B
    return np.where(bought_B, ACTIONS.index("purchase"), np.where(carted_B, ACTIONS.index("cart"), 0))
