"""Keys in a file are rotated without a restart, and nothing that happens to the file is passed over in silence."""

from __future__ import annotations

import logging

import pytest

from app.api.key_file import KeyFile
from app.api.keys import Access, KeyRing
from app.errors import InvalidSetting
from tests.api_house import ApiHouse


class House:
    """A key file with its key ring and a clock."""

    def __init__(self, path) -> None:
        self.path = path
        self.now_s = 0.0
        path.write_text("# ours\nalpha\n\n")
        self.file = KeyFile(path, setting="SEQRANK_API_KEYS_FILE", clock=lambda: self.now_s)
        self.ring = KeyRing(rank_file=self.file)

    def lets_in(self, key):
        """Return whether the key is good two seconds later."""
        self.now_s += 2.0
        try:
            self.ring.check(key, Access.RANK)
        except Exception as error:  # noqa: BLE001 -- said by its text
            assert "not known" in str(error)  # noqa: PT017 -- the one refusal that is meant
            return False
        return True


@pytest.fixture
def house(tmp_path):
    return House(tmp_path / "keys")


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.WARNING, logger="seqrank.keys")
    return lambda: [(record.levelname, record.getMessage()) for record in caplog.records]


def test_a_changed_file_counts(house, said):
    """The new key is good, the old one is not, and nothing has to be said."""
    assert house.lets_in(b"alpha")
    house.path.write_text("beta-2\n")
    assert house.lets_in(b"beta-2")
    assert not house.lets_in(b"alpha")
    assert said() == []


def test_a_file_that_is_gone_keeps_its_keys_and_says_so_once(house, said):
    """Deleting the file revokes nothing: that is logged once, shown as long as it lasts, and its end is logged."""
    house.path.unlink()
    assert [house.lets_in(b"alpha") for _ in range(3)] == [True] * 3
    sentence = "the file of SEQRANK_API_KEYS_FILE cannot be read (No such file or directory): its last keys still count"
    assert said() == [("ERROR", sentence)]
    assert (house.file.trouble(), house.ring.degraded()) == (sentence, ["keys"])
    house.path.write_text("beta\n")
    assert (house.lets_in(b"beta"), house.lets_in(b"alpha")) == (True, False)
    assert said()[1:] == [("WARNING", "the file of SEQRANK_API_KEYS_FILE is read again, with 1 keys")]
    assert (house.file.trouble(), house.ring.degraded()) == (None, [])


def test_a_file_that_becomes_unreadable_keeps_its_keys_and_says_so(house, said):
    """The same for a file that is there and cannot be read: here a folder stands in its place."""
    house.path.unlink()
    house.path.mkdir()
    assert house.lets_in(b"alpha")
    assert [level for level, _ in said()] == ["ERROR"]
    assert "Is a directory" in house.file.trouble()


def test_an_emptied_file_lets_nobody_in_and_says_so(house, said):
    """Whoever empties the file revokes all of its keys; that everybody is locked out is an error in the log."""
    house.path.write_text("# alpha\n")
    assert [house.lets_in(b"alpha") for _ in range(2)] == [False, False]
    assert said() == [("ERROR", "the file of SEQRANK_API_KEYS_FILE holds no key any more: it lets nobody in")]
    assert house.ring.degraded() == ["keys"]
    house.path.write_text("alpha\n")
    assert house.lets_in(b"alpha")
    assert house.ring.degraded() == []


@pytest.mark.parametrize("text", ["", "\n  \n", "# alpha\n"])
def test_a_file_without_a_key_is_refused_at_start(tmp_path, text):
    """It would lock everybody out."""
    (tmp_path / "keys").write_text(text)
    with pytest.raises(InvalidSetting, match=r"SEQRANK_ADMIN_KEYS_FILE is '.*keys': the file holds no key"):
        KeyFile(tmp_path / "keys", setting="SEQRANK_ADMIN_KEYS_FILE")


def test_a_file_that_cannot_be_read_is_refused_at_start(tmp_path):
    """The sentence names the variable, the path and the reason."""
    with pytest.raises(InvalidSetting, match=r"SEQRANK_API_KEYS_FILE is '.*nope': it cannot be read: No such file"):
        KeyFile(tmp_path / "nope", setting="SEQRANK_API_KEYS_FILE")


async def test_readiness_tells_of_a_file_that_is_gone(tmp_path, monkeypatch):
    """Without a request that needs a key, the probe alone notices it."""
    monkeypatch.setattr("app.api.key_file.LOOK_AGAIN_AFTER_S", 0.0)
    path = tmp_path / "keys"
    path.write_text("alpha\n")
    async with ApiHouse(api_keys_file=path) as house:
        well = {"status": "ready", "provider": "cpu", "degraded": []}
        assert (await house.client.get("/health")).json() == well
        path.unlink()
        assert (await house.client.get("/health")).json() == well | {"degraded": ["keys"]}


@pytest.mark.parametrize("content", [b"\xef\xbb\xbfalpha\r\nbeta\r\n", b"\xef\xbb\xbf# ours\nalpha\nbeta"])
def test_what_a_windows_editor_wrote_holds_the_same_keys(tmp_path, content):
    """A byte order mark and other line ends are no part of a key."""
    (tmp_path / "keys").write_bytes(content)
    assert KeyFile(tmp_path / "keys", setting="SEQRANK_API_KEYS_FILE").keys() == (b"alpha", b"beta")
