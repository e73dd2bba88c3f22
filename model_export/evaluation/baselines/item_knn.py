"""Item neighbours: what the users of this item also used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import sparse

from model_export.evaluation.baselines.interactions import user_item_matrix, visible_matrix

if TYPE_CHECKING:
    from app.contract.tensors import Float32Array, Int64Array
    from model_export.data.dataset import Dataset
    from model_export.evaluation.questions import Questions

_ITEMS_AT_ONCE: Final = 2048


class ItemKnn:
    """Scores an item by the sum of its similarities with the visible history (Deshpande and Karypis 2004)."""

    name = "item-kNN"

    def __init__(self, similarity_NN: sparse.csr_array) -> None:
        self._similarity_NN = similarity_NN

    @classmethod
    def fit(cls, data: Dataset, ends_U: Int64Array, *, shrink: float, neighbours: int) -> ItemKnn:
        """Compute the cosine of every pair of items and keep the nearest of each.

        Args:
            data: The events.
            ends_U: Where each user's known events end.
            shrink: Added to the denominator, so that a pair with few common users counts for less.
            neighbours: How many similar items each item is recommended by.
        """
        user_item = user_item_matrix(data, ends_U)
        item_user = user_item.T.tocsr()
        length_N = np.sqrt(np.diff(item_user.indptr)).astype(np.float32)
        blocks = []
        for start in range(0, item_user.shape[0], _ITEMS_AT_ONCE):
            common = sparse.coo_array(item_user[start : start + _ITEMS_AT_ONCE] @ user_item)
            items, others = common.coords
            other = items + start != others
            items, others, both = items[other], others[other], common.data[other]
            cosine = both / (length_N[items + start] * length_N[others] + shrink)
            blocks.append(_nearest(items, others, cosine, common.shape, neighbours))
        return cls(sparse.vstack(blocks, format="csr").T.tocsr())

    def scores(self, questions: Questions) -> Float32Array:
        """Sum the similarities over each visible history."""
        scores_BN: Float32Array = (visible_matrix(questions) @ self._similarity_NN).toarray()
        return scores_BN


def _nearest(
    items: Int64Array, others: Int64Array, cosine: Float32Array, shape: tuple[int, int], neighbours: int
) -> sparse.csr_array:
    """Keep the ``neighbours`` highest cosines of each item, ties by row."""
    order = np.lexsort((others, -cosine, items))
    items, others, cosine = items[order], others[order], cosine[order]
    first_of_item = np.searchsorted(items, items, side="left")
    near = np.arange(len(items)) - first_of_item < neighbours
    return sparse.csr_array((cosine[near], (items[near], others[near])), shape=shape)
