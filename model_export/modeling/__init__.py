"""The network: text tower, sequence encoder, scoring heads."""
