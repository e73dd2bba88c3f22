"""The model: ONNX Runtime sessions, and the line in front of them."""

import os

# Libraries are told here what they read from the environment: before any of them is imported, and while no other thread
# can be reading it, which the C library answers with a crash.
# ONNX Runtime 1.31 keeps a device id and reports to its makers, on Linux too
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# the tokenizers' own threads would take cores from ranking; encoding is bounded by its caller
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
