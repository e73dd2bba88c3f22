"""What a service under load and under faults writes down about its users and keys: nothing."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.served_process import ask, serving, store_of, until

ITEMS = [f"item-{n}" for n in range(1, 101)]
USERS = [f"personal-name-{n}-of-a-user" for n in range(8)]
KEY, ADMIN_KEY, WRONG_KEY, USER_SECRET = "key-that-ranks", "key-that-deletes", "key-that-is-wrong", "hides-user-ids"
SECRETS = [*USERS, KEY, ADMIN_KEY, WRONG_KEY, USER_SECRET]


def load(port, user):
    """Use every route that a user id or a key passes through, well and badly."""
    for key in (KEY, ADMIN_KEY, WRONG_KEY):
        headers = {"Authorization": f"Bearer {key}"}
        ask(port, "POST", "/feedback", {"user": user, "item": "item-3"}, headers=headers)
        ask(port, "POST", "/rank", {"user": user, "items": ITEMS}, headers=headers)
        ask(port, "POST", "/rank", {"user": user, "items": ITEMS, "timeout_ms": 1}, headers=headers)
        ask(port, "POST", "/rank", {"user": user, "items": "no list", "strategy": user}, headers=headers)
        ask(port, "GET", f"/users/{user}", headers=headers)
        ask(port, "GET", f"/nothing/{user}?user={user}&key={key}", headers=headers)
        ask(port, "DELETE", f"/users/{user}", headers=headers)
        ask(port, "POST", "/feedback", {"user": user, "item": "item-4"}, headers=headers)


def load_all(port):
    with ThreadPoolExecutor(4) as callers:
        list(callers.map(lambda user: load(port, user), USERS))


@pytest.mark.parametrize(("style", "level"), [("json", "debug"), ("text", "info")])
def test_no_user_id_and_no_key_is_logged_or_stored(tiny_bundle, tmp_path, style, level):
    """Under load, with the store killed meanwhile and every request slow enough to be logged, no line holds either."""
    log, data = tmp_path / "log", tmp_path / "data"
    settings = {
        "SEQRANK_API_KEYS": KEY, "SEQRANK_ADMIN_KEYS": ADMIN_KEY, "SEQRANK_USER_SECRET": USER_SECRET,
        "SEQRANK_LOG_LEVEL": level, "SEQRANK_LOG_FORMAT": style, "SEQRANK_SLOW_REQUEST_MS": "0.001",
    }  # fmt: skip
    with log.open("wb") as file, serving(tiny_bundle, data, log=file, **settings) as (port, process):
        load_all(port)
        store = store_of(process)
        os.kill(store, signal.SIGSTOP)
        load(port, USERS[0])
        os.kill(store, signal.SIGKILL)
        load_all(port)
        until(lambda: store_of(process) not in (None, store))
        process.send_signal(signal.SIGTERM)
        process.wait(15)
    said = log.read_text()
    assert "a rank request was slow" in said
    assert "the embedded Valkey ended" in said
    stored = {path.name: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    assert sum(b"item-4" in content for content in stored.values()) > 0
    assert [secret for secret in SECRETS if secret in said] == []
    assert [name for name, content in stored.items() for secret in SECRETS if secret.encode() in content] == []
