"""How much a client may ask, and how long it takes at most."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiLimits:
    """What clients may ask.

    Attributes:
        max_items: Most candidates of a request, events of a history, or items and events of one call.
        timeout_ms: Budget of a rank request that names none.
        max_body_bytes: Longest body.
        latency_slo_ms: Past which ``/health/latency`` answers 503.
    """

    max_items: int
    timeout_ms: float
    max_body_bytes: int
    latency_slo_ms: float
