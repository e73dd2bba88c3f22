"""Side-by-side measurements; each module is a command and writes its table to ``docs/results/``."""
