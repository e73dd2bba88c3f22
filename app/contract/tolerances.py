"""How far a bundle's scores may lie from FP32, per precision: at export, at start and while serving."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

TOP_POSITIONS: Final = 10
"""Agreement is the share of the FP32 list's first ten that the other list's first ten has too."""

TIE_WIDTH: Final = 2e-4
"""FP32 scores that are closer than this are tied: twice the error that FP32 itself is allowed."""

ENCODER_MIN_COSINE: Final = {"fp32": 0.9999, "fp16": 0.999, "int8": 0.9}
"""A golden text's vector must point where the FP32 encoder's points, however odd the text."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """The limits of one precision.

    Attributes:
        max_score_error: Largest absolute difference of one score from FP32.
        min_top10_agreement: Mean share of the first ten that is the same.
        max_ndcg_change: Largest relative change of NDCG@10 on the held-out test set, in either direction.
    """

    max_score_error: float
    min_top10_agreement: float
    max_ndcg_change: float


FP32: Final = Tolerance(max_score_error=1e-4, min_top10_agreement=0.999, max_ndcg_change=1e-4)
FP16: Final = Tolerance(max_score_error=1e-2, min_top10_agreement=0.995, max_ndcg_change=0.005)
INT8: Final = Tolerance(max_score_error=1.0, min_top10_agreement=0.97, max_ndcg_change=0.005)

TOLERANCES: Final = {"fp32": FP32, "fp16": FP16, "int8": INT8}

REPLAY_SLACK: Final = 2.0
"""Golden requests are few, so their mean agreement may miss the limit by this many times its allowed shortfall."""
