"""The truth of the simulated shop: what a shopper in a given state does next, as probabilities.

A shopper has long-term tastes (favourite product types, a style) and a short-term mission (product type, price tier
and brand of the latest event). The next product type is the mission's again, or its partner, or a favourite, or
something popular; how likely depends on the latest action and on whether a new visit begins. Among the products of a
type that are there and not seen yet, the choice is a softmax of popularity, style, price tier and brand. Everything
but the tastes is visible in the history, and tastes show within a few events: a perfect ranker comes close to the
oracle.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from app.contract.tensors import Int64Array
    from model_export.data.simulation.catalogue import Catalogue

ACTIONS: Final = ("view", "cart", "purchase")
FAVOURITES: Final = 3
FAVOURITE_WEIGHTS: Final = np.array([0.5, 0.3, 0.2])
NO_LEAF: Final = -1

STAY_BY_ACTION: Final = np.array([0.65, 0.50, 0.10])
"""Probability that the mission goes on, by the latest action."""

STAY_FACTOR_AT_NEW_VISIT: Final = 0.6
PARTNER_SHARE: Final = 0.60
FAVOURITE_SHARE: Final = 0.28
"""Where shoppers go who do not stay; the rest goes where everybody goes."""

FIRST_FAVOURITE_SHARE: Final = 0.85
"""Share of favourites at the first event, and where tastes have just changed."""

STYLE_UTILITY: Final = 3.0
TIER_UTILITY: Final = 1.2
BRAND_UTILITY: Final = 1.2


@dataclass(frozen=True, slots=True)
class ShopperStates:
    """B shoppers just before their next event.

    Attributes:
        favourites_BF: ``int64[B, 3]`` favourite leaves, the dearest first.
        style_B: ``int64[B]`` preferred style.
        leaf_B: ``int64[B]`` leaf of the latest event, `NO_LEAF` before the first event and where tastes just changed.
        tier_B: ``int64[B]`` price tier of the latest event, -1 before the first.
        brand_B: ``int64[B]`` brand of the latest event, -1 before the first.
        action_B: ``int64[B]`` latest action, position in `ACTIONS`.
        new_visit_B: ``bool[B]`` whether the next event begins a visit.
        now_ms_B: ``int64[B]`` time of the next event.
    """

    favourites_BF: Int64Array
    style_B: Int64Array
    leaf_B: Int64Array
    tier_B: Int64Array
    brand_B: Int64Array
    action_B: Int64Array
    new_visit_B: NDArray[np.bool_]
    now_ms_B: Int64Array

    def take(self, positions: Int64Array) -> ShopperStates:
        """Return the shoppers at ``positions``."""
        return ShopperStates(**{field.name: getattr(self, field.name)[positions] for field in dataclasses.fields(self)})


def next_item_probabilities(
    catalogue: Catalogue, states: ShopperStates, seen_BN: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return ``float64[B, N]``, the probability of each product to be the next event's; rows sum to 1.

    Args:
        catalogue: The shop.
        states: The shoppers.
        seen_BN: ``bool[B, N]`` what each has seen: nobody has two events with one product.
    """
    utility_BN = (
        catalogue.log_popularity_N
        + STYLE_UTILITY * (catalogue.style_N == states.style_B[:, None])
        + TIER_UTILITY * (catalogue.tier_N == states.tier_B[:, None])
        + BRAND_UTILITY * (catalogue.brand_N == states.brand_B[:, None])
    )
    possible_BN = (catalogue.available_from_ms_N <= states.now_ms_B[:, None]) & ~seen_BN
    weight_BN = np.where(possible_BN, np.exp(utility_BN), 0.0)
    # leaf_N ascends, so the products of a leaf lie side by side
    leaf_starts_L = np.searchsorted(catalogue.leaf_N, np.arange(len(catalogue.partner_L)))
    leaf_total_BL = np.add.reduceat(weight_BN, leaf_starts_L, axis=1)
    leaf_BL = leaf_probabilities(catalogue, states)
    per_weight_BL = np.divide(leaf_BL, leaf_total_BL, out=np.zeros_like(leaf_BL), where=leaf_total_BL > 0)
    probability_BN = weight_BN * per_weight_BL[:, catalogue.leaf_N]
    normalised: NDArray[np.float64] = probability_BN / probability_BN.sum(axis=1, keepdims=True)
    return normalised


def leaf_probabilities(catalogue: Catalogue, states: ShopperStates) -> NDArray[np.float64]:
    """Return ``float64[B, L]``, the probability of each product type, before what is sold out or seen is considered."""
    shoppers = np.arange(len(states.leaf_B))
    favourite_BL = np.zeros((len(shoppers), len(catalogue.partner_L)))
    np.add.at(favourite_BL, (shoppers[:, None], states.favourites_BF), FAVOURITE_WEIGHTS)
    stay_B = STAY_BY_ACTION[states.action_B] * np.where(states.new_visit_B, STAY_FACTOR_AT_NEW_VISIT, 1.0)
    leave_B1 = (1.0 - stay_B)[:, None]
    popular_share = 1.0 - PARTNER_SHARE - FAVOURITE_SHARE
    going_on_BL = leave_B1 * (FAVOURITE_SHARE * favourite_BL + popular_share * catalogue.leaf_popularity_L)
    going_on_BL[shoppers, states.leaf_B] += stay_B
    going_on_BL[shoppers, catalogue.partner_L[states.leaf_B]] += leave_B1[:, 0] * PARTNER_SHARE
    fresh_BL = FIRST_FAVOURITE_SHARE * favourite_BL + (1.0 - FIRST_FAVOURITE_SHARE) * catalogue.leaf_popularity_L
    return np.where((states.leaf_B == NO_LEAF)[:, None], fresh_BL, going_on_BL)
