"""The limits that an export must keep beside those of `app.contract.tolerances`, which the service keeps too."""

from __future__ import annotations

from typing import Final

ENCODER_MIN_MEAN_COSINE: Final = {"fp32": 0.99999, "fp16": 0.9999, "int8": 0.98}
"""Mean cosine of the encoder's vectors with the FP32 ones over the catalogue's texts."""

ONLINE_MIN_TOP10_AGREEMENT: Final = {"fp32": 0.999, "fp16": 0.98, "int8": 0.85}
"""Top-10 agreement if the bundle's own encoder had read every text: the worst that items added online can do."""
