"""From a trained run to a certified bundle."""
