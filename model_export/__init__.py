"""Offline: raw interactions and item texts in, a certified bundle out."""

import app.inference  # noqa: F401 -- tells ONNX Runtime and the tokenizers what they read from the environment
