"""Makes the products of the simulated shop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from model_export.data import columns
from model_export.data.item_table import joined_text
from model_export.data.simulation.words import BRANDS, DEPARTMENTS, MATERIALS, PRICE_TIERS, SERIES, STYLES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from app.contract.tensors import Int64Array

ITEMS_A_LEAF: Final = 30
"""About how many products share a product type."""

POPULARITY_SPREAD: Final = 0.5
TEXT_COLUMNS: Final = ("title", "category", "description")

LEAVES: Final = tuple(
    (department, category, product_type)
    for position in range(5)
    for department, categories in DEPARTMENTS.items()
    for category, types in categories.items()
    for product_type in types[position : position + 1]
)
"""All product types; the first 24 are one of each category, so that a small shop has all departments."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What is true of the N products, row r of the shop being position ``r - 1`` here; L leaves.

    Attributes:
        leaf_N: ``int64[N]`` product type.
        style_N: ``int64[N]`` position in `STYLES`.
        tier_N: ``int64[N]`` position in `PRICE_TIERS`.
        brand_N: ``int64[N]`` brand, numbered over all departments.
        log_popularity_N: ``float64[N]`` how much people choose it whatever their taste; 0 for late products.
        available_from_ms_N: ``int64[N]`` epoch milliseconds; 0 for products that were always there.
        partner_L: ``int64[L]`` the product type that people go on to after this one.
        leaf_popularity_L: ``float64[L]`` sums to 1.
    """

    leaf_N: Int64Array
    style_N: Int64Array
    tier_N: Int64Array
    brand_N: Int64Array
    log_popularity_N: NDArray[np.float64]
    available_from_ms_N: Int64Array
    partner_L: Int64Array
    leaf_popularity_L: NDArray[np.float64]


def make_catalogue(
    random: np.random.Generator, *, items: int, new_items: float, available_between_ms: tuple[int, int]
) -> Catalogue:
    """Draw the products.

    Args:
        random: Where chance comes from.
        items: N.
        new_items: Share of products that appear late.
        available_between_ms: When late products appear, uniformly.
    """
    leaf_count = int(np.clip(round(items / ITEMS_A_LEAF), 4, len(LEAVES)))
    leaf_N = np.sort(np.arange(items) % leaf_count)
    departments = list(DEPARTMENTS)
    department_N = np.array([departments.index(LEAVES[leaf][0]) for leaf in range(leaf_count)])[leaf_N]
    is_late_N = np.zeros(items, bool)
    is_late_N[random.permutation(items)[: round(new_items * items)]] = True
    ranks = random.permutation(leaf_count) + 2.0
    return Catalogue(
        leaf_N=leaf_N,
        style_N=random.integers(len(STYLES), size=items),
        tier_N=random.integers(len(PRICE_TIERS), size=items),
        brand_N=department_N * 5 + random.integers(5, size=items),
        log_popularity_N=np.where(is_late_N, 0.0, random.normal(0.0, POPULARITY_SPREAD, items)),
        available_from_ms_N=np.where(is_late_N, random.integers(*available_between_ms, size=items), 0),
        partner_L=_cycle(random, leaf_count),
        leaf_popularity_L=(1.0 / ranks) / (1.0 / ranks).sum(),
    )


def describe(catalogue: Catalogue, random: np.random.Generator) -> pa.Table:
    """Return the item table: ids, texts that tell all there is to know, and columns to show."""
    rows = [_product(catalogue, position, random) for position in range(len(catalogue.leaf_N))]
    table = pa.Table.from_pylist(rows)
    return table.add_column(1, columns.TEXT, joined_text(table, TEXT_COLUMNS))


def _product(catalogue: Catalogue, position: int, random: np.random.Generator) -> dict[str, str | float]:
    department, category, product_type = LEAVES[catalogue.leaf_N[position]]
    brand = BRANDS[department][catalogue.brand_N[position] % 5]
    style, style_sentence = STYLES[catalogue.style_N[position]]
    tier, tier_sentence, median_price = PRICE_TIERS[catalogue.tier_N[position]]
    material = MATERIALS[department][random.integers(5)]
    series = f"{SERIES[random.integers(len(SERIES))]} {10 * (1 + position % 99)}"
    return {
        columns.ITEM_ID: f"p{position + 1:05d}",
        "title": f"{brand} {series} {style} {product_type}, {material}",
        "category": category,
        "department": department,
        "brand": brand,
        "style": style,
        "price_tier": tier,
        "price": round(float(median_price * random.lognormal(0.0, 0.25)), 2),
        "description": f"{style_sentence} {tier_sentence}",
    }


def _cycle(random: np.random.Generator, leaves: int) -> Int64Array:
    """Return a random cycle through all leaves: nobody is their own partner, everybody is somebody's."""
    order = random.permutation(leaves)
    partner = np.empty(leaves, np.int64)
    partner[order] = np.roll(order, -1)
    return partner
