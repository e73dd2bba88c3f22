"""How much to raise new items: as much as known items can afford."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from model_export.training.validation import masked_ranks, ndcg_at, sampled_targets

if TYPE_CHECKING:
    from collections.abc import Callable

    from model_export.data.dataset import Dataset
    from model_export.data.splits import Targets
    from model_export.modeling.ranker import SequenceRanker

BOOSTS: Final = (1.5, 1.0, 0.75, 0.5, 0.4, 0.3, 0.2, 0.1)
"""What is tried, the largest first; in units of `model_export.modeling.item_vectors.ItemVectors.boost_new_items`."""

MOST_LOSS: Final = 0.005
"""Share of the known items' validation NDCG@10 that new items may cost."""

PRETENDED_SHARE: Final = 0.1
"""Share of the known items that pretend to be new, as in the cold-start protocol (`model_export.data.splits`)."""

_TARGETS: Final = 5_000


@torch.no_grad()
def affordable_boost(
    model: SequenceRanker, data: Dataset, validation: Targets, *, note: Callable[[str], None] = lambda _: None
) -> float:
    """Return the largest of `BOOSTS` that leaves the lists of known items as they should be, or 0.

    A tenth of the known items is shown by text alone, as if new; the boost lifts them past the others. What the other
    items lose is measured on validation targets among them. No item that is really new is looked at.

    Args:
        model: Trained without the validation targets, and not boosted.
        data: The events.
        validation: The validation targets; a fixed sample of them is looked at.
        note: Told in a sentence what was chosen.
    """
    known = torch.nonzero(model.items.known.squeeze(1) > 0).squeeze(1).cpu().numpy()
    pretenders = np.random.default_rng(0).permutation(known)[: round(PRETENDED_SHARE * len(known))]
    asked = sampled_targets(validation, _TARGETS)
    asked = asked.take(np.flatnonzero(~np.isin(data.rows[asked.events], pretenders)))
    if not len(asked) or not len(pretenders) or model.items.delta_bound == 0:
        return 0.0
    table_ND = model.item_table()
    table_ND[pretenders] = model.items.from_text(model.items.text_vectors[pretenders])

    def quality(boost: float) -> float:
        boosted_ND = table_ND.clone()
        boosted_ND[pretenders, -1] += boost
        return ndcg_at(masked_ranks(model, data, asked, boosted_ND), 10)

    unboosted = quality(0.0)
    if not unboosted:
        note("new items are not raised: no list shows a known item that came next, so nothing tells what it would cost")
        return 0.0
    for boost in BOOSTS:
        now = quality(boost)
        if now >= (1.0 - MOST_LOSS) * unboosted:
            note(f"new items are raised by {boost}: NDCG@10 of known items {now:.4f}, {unboosted:.4f} without")
            return boost
    note("new items are not raised: known items would lose more than they should")
    return 0.0
