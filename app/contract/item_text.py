"""How the text of an item is read, in training and in serving alike."""

from __future__ import annotations


def plain_text(text: str) -> str:
    """Return a text with white space made single and none at its ends; unpaired surrogates become question marks.

    Some tokenizers read two blanks as another word than one. An item's text must mean the same whether it came with
    the training data or through ``PUT /items``.

    >>> plain_text(" walnut  standing desk ")
    'walnut standing desk'
    """
    return " ".join(text.split()).encode("utf-8", "replace").decode()
