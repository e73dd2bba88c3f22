"""The model: ONNX Runtime sessions, and the line in front of them."""

import os

# ONNX Runtime 1.31 keeps a device id and reports to its makers, on Linux too, unless this is set before it is imported
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
