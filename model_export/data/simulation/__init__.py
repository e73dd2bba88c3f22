"""A simulated shop whose true next-item probabilities are known."""
