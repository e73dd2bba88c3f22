"""A new bundle takes the place of an old one while requests go on."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import signal
import threading
from contextlib import closing, contextmanager
from pathlib import Path

from tests.e2e.test_process import workers_of
from tests.served_process import ask, serving, until

ITEMS = [f"item-{n}" for n in range(1, 101)]


def copy_of(bundle, folder, version):
    """Return a copy of a bundle that says that it is another version."""
    shutil.copytree(bundle, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "version": version}))
    return folder


def point(link, bundle):
    """Let a link lead to a bundle, from one moment to the next."""
    fresh = link.with_name("fresh")
    fresh.symlink_to(bundle)
    fresh.replace(link)


def versions_in_metrics(port):
    metrics = ask(port, "GET", "/metrics")[1]
    return set(re.findall(r'^seqrank_model_info{[^}]*version="(\w+)"[^}]*} 1', metrics, re.MULTILINE))


@contextmanager
def callers(port, count=4):
    """Ask for lists all the time, each caller on a connection of its own; yield the versions and mishaps so far."""
    versions, mishaps, done = [], [], threading.Event()

    def call(number):
        body = json.dumps({"user": f"u{number}", "items": ITEMS, "timeout_ms": 10_000})
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            while not done.is_set() and not mishaps:
                try:
                    connection.request("POST", "/rank", body, {"Content-Type": "application/json"})
                    answer = connection.getresponse()
                    content = json.loads(answer.read())
                except OSError as error:
                    mishaps.append(repr(error))
                else:
                    (versions if answer.status == 200 else mishaps).append(content.get("version", content))

    threads = [threading.Thread(target=call, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield versions, mishaps
    finally:
        done.set()
        for thread in threads:
            thread.join()


def test_a_new_bundle_takes_over_and_no_request_fails(tiny_bundle, tmp_path):
    """After SIGHUP every worker is a new one with the bundle that the path leads to now; callers notice nothing."""
    old, new = copy_of(tiny_bundle, tmp_path / "old", "v1"), copy_of(tiny_bundle, tmp_path / "new", "v2")
    link = tmp_path / "current"
    point(link, old)
    with serving(link, tmp_path / "data", "--workers", "2") as (port, process):
        first = until(lambda: len(found := workers_of(process)) == 2 and found)
        ask(port, "POST", "/feedback", {"user": "u0", "item": "item-7", "action": "click"})
        with callers(port) as (versions, mishaps):
            until(lambda: versions)
            point(link, new)
            process.send_signal(signal.SIGHUP)
            until(lambda: set(versions[-50:]) == {"v2"} and not set(first) & set(workers_of(process)), 60)
        assert mishaps == []
        assert len(workers_of(process)) == 2
        ranked = ask(port, "POST", "/rank", {"user": "u0", "items": ITEMS, "timeout_ms": 10_000})[1]
        assert (ranked["version"], ranked["history"]["used"]) == ("v2", 1)
        until(lambda: versions_in_metrics(port) == {"v2"})
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_a_bundle_that_cannot_be_served_changes_nothing(tiny_bundle, tmp_path):
    """The workers that there are go on, and a later SIGHUP with a sound bundle is obeyed."""
    old, new = copy_of(tiny_bundle, tmp_path / "old", "v1"), copy_of(tiny_bundle, tmp_path / "new", "v2")
    table = (new / "item_table.npy").read_bytes()
    (new / "item_table.npy").write_bytes(table[:-1])
    link = tmp_path / "current"
    point(link, old)
    with serving(link, tmp_path / "data", "--workers", "2") as (port, process):
        first = until(lambda: len(found := workers_of(process)) == 2 and found)
        point(link, new)
        process.send_signal(signal.SIGHUP)
        until(lambda: len(workers_of(process)) == 3)
        until(lambda: workers_of(process) == first, 30)
        assert ask(port, "POST", "/rank", {"user": "u", "items": ITEMS})[1]["version"] == "v1"
        (new / "item_table.npy").write_bytes(table)
        process.send_signal(signal.SIGHUP)
        until(lambda: not set(first) & set(workers_of(process)), 60)
        assert ask(port, "POST", "/rank", {"user": "u", "items": ITEMS})[1]["version"] == "v2"


def test_sigterm_in_the_middle_of_an_exchange_ends_everything(tiny_bundle, tmp_path):
    """Nobody is left behind: neither the old workers nor the new one."""
    with serving(tiny_bundle, tmp_path / "data", "--workers", "2") as (_, process):
        until(lambda: len(workers_of(process)) == 2)
        process.send_signal(signal.SIGHUP)
        found = until(lambda: len(found := workers_of(process)) == 3 and found)
        process.send_signal(signal.SIGTERM)
        assert process.wait(12) == 0
        assert not any(Path(f"/proc/{pid}").exists() for pid in found)


def test_a_service_keeps_the_bundle_that_it_began_with(tiny_bundle, tmp_path):
    """What is read late is the bundle's own, though the link that led to it leads elsewhere or nowhere."""
    link = tmp_path / "current"
    point(link, tiny_bundle)
    with serving(link, tmp_path / "data") as (port, _):
        link.unlink()
        status, item = ask(port, "GET", "/items/item-5")
        assert (status, bool(item["text"])) == (200, True)
