"""Offline: raw interactions and item texts in, a certified bundle out."""

import app.inference  # noqa: F401 -- switches the telemetry of ONNX Runtime off
