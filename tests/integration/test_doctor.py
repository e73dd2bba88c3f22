"""The doctor finds what is wrong and says what to do."""

from __future__ import annotations

import asyncio

from app.doctor import examine
from app.settings import Settings


def test_a_good_house_is_well(tiny_bundle, tmp_path, capsys):
    """Bundle, provider, store and clock in order: every finding about them is ok."""
    examine(Settings(bundle=tiny_bundle, data_dir=tmp_path / "data", redis_timeout_ms=1000))
    lines = capsys.readouterr().out.splitlines()
    well = {line.split()[1] for line in lines if line.startswith("ok")}
    assert {"bundle", "certificate", "provider", "redis", "append", "fsync", "clock", "disk", "keys"} <= well


def test_a_store_that_may_lose_events_is_found(tiny_bundle, tmp_path, capsys):
    """``everysec`` is named, with what it may cost."""
    assert examine(Settings(bundle=tiny_bundle, data_dir=tmp_path / "data", append_fsync="everysec")) == 1
    out = capsys.readouterr().out
    assert "FAIL fsync" in out
    assert "power cut" in out


def test_a_disk_without_room_is_found(tiny_bundle, tmp_path, capsys, monkeypatch):
    """The embedded store's folder is looked at before it exists, and what happens when it is full is said."""
    monkeypatch.setattr("app.doctor.LEAST_FREE_GB", 1e9)
    assert examine(Settings(bundle=tiny_bundle, data_dir=tmp_path / "not" / "yet")) == 1
    out = capsys.readouterr().out
    assert "FAIL disk" in out
    assert "events are refused when the disk is full" in out


def test_nothing_there_is_said_and_not_raised(tmp_path, capsys):
    """No bundle and no Redis: two findings with advice, code 1."""
    assert examine(Settings(bundle=tmp_path / "nowhere", redis_url="redis://127.0.0.1:1", host="0.0.0.0")) == 1  # noqa: S104 -- the point
    out = capsys.readouterr().out
    for sentence in (
        "FAIL bundle",
        "FAIL redis",
        "nothing listens at its address",
        "SEQRANK_REDIS_URL",
        "SEQRANK_API_KEYS",
    ):
        assert sentence in out
    assert asyncio.get_event_loop_policy() is not None
