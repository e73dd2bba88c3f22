"""What training and serving must agree on. Standard library and numpy only.

Shape legend, here and in every package that speaks of the same arrays:
B requests in a batch, C candidates, H history events, D vector width, T tokens, N items, O objectives.
"""
