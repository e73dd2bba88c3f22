"""Keys of ids, which stored histories and bundles share."""

from __future__ import annotations

from app.contract.identity import key_of, keys_of

KEYS = {"lamp": 7711560049442028586, "中文": 6508751399110960641, "\ud800": 7497787021708494914}


def test_a_key_is_the_same_for_ever():
    """Redis holds keys for months, so that another way of making them would lose every history in silence."""
    assert {text: key_of(text) for text in KEYS} == KEYS
    assert keys_of(KEYS).tolist() == list(KEYS.values())
