"""The model: ONNX Runtime sessions, and the line in front of them."""
