"""The tour: make a bundle, serve it, rank, click, rank again, and show what the click changed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import httpx
import pyarrow.parquet as pq

from model_export.errors import CommandError
from model_export.pipeline import demo_steps, run_steps

FOLDER: Final = Path("build/demo")
READY_TIMEOUT_S: Final = 60.0
SHOWN: Final = 10
TIMEOUT_MS: Final = 5000
"""Generous: the tour shows what a list looks like, and may run beside anything."""

ATTEMPTS: Final = 5


def main() -> int:
    """Run the tour; return 0 when the list moved towards the click."""
    code = run_steps(demo_steps(FOLDER))
    if code:
        return code
    try:
        return _serve()
    except KeyboardInterrupt:
        return 0
    except CommandError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2


def _serve() -> int:
    """Start the service, show the tour, and go on serving."""
    port = _port()
    service = _start_service(port)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10.0) as client:
            _wait_until_ready(client, service)
            moved = _tour(client, _shop_items())
        if not moved:
            print("The list did not move towards the click.", file=sys.stderr)
            return 1
        if os.environ.get("DEMO_EXIT") == "1":
            return 0
        print(f"\nServing on http://127.0.0.1:{port} (docs: /docs). Ctrl-C ends it.", flush=True)
        return service.wait()
    finally:
        _stop(service)


def _port() -> int:
    given = os.environ.get("SEQRANK_PORT", "0")
    if not given.isdigit():
        raise CommandError(f"SEQRANK_PORT is {given!r}, expected a port number")
    return int(given) or _preferred_port()


def _preferred_port() -> int:
    """Return 8000, or any free port where 8000 is taken."""
    for port in (8000, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise CommandError("no free port on 127.0.0.1")


def _start_service(port: int) -> subprocess.Popen[bytes]:
    print("\nStarting the service with an embedded Valkey", flush=True)
    environment = {"SEQRANK_DATA_DIR": str(FOLDER / "redis"), "SEQRANK_LOG_LEVEL": "warning", **os.environ}
    command = [sys.executable, "-m", "app", "--bundle", str(FOLDER / "bundle"), "--port", str(port)]
    return subprocess.Popen(command, env=environment)


def _wait_until_ready(client: httpx.Client, service: subprocess.Popen[bytes]) -> None:
    started_s = time.monotonic()
    while time.monotonic() - started_s < READY_TIMEOUT_S:
        if service.poll() is not None:
            raise CommandError(f"the service ended with code {service.returncode} before it was ready")
        try:
            if client.get("/health/ready").is_success:
                print(f"Ready after {time.monotonic() - started_s:.1f} s", flush=True)
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise CommandError(f"the service was not ready within {READY_TIMEOUT_S:.0f} s")


def _stop(service: subprocess.Popen[bytes]) -> None:
    if service.poll() is None:
        service.send_signal(signal.SIGTERM)
        service.wait(timeout=15)


def _shop_items() -> dict[str, dict[str, Any]]:
    table = pq.read_table(FOLDER / "bundle" / "items.parquet")
    return {row["item_id"]: row for row in table.to_pylist()}


def _tour(client: httpx.Client, items: dict[str, dict[str, Any]]) -> bool:
    """Rank, click, rank again; return whether the clicked category gained."""
    user = f"demo-{os.getpid()}"
    categories = Counter(item["category"] for item in items.values())
    first, second = (
        next(item for item in items.values() if item["category"] == category)
        for category, _ in categories.most_common(2)
    )
    _click(client, user, first)
    before = _rank(client, user)
    _show(f"After one click on “{first['title']}” ({first['category']})", before, items)
    _click(client, user, second)
    after = _rank(client, user)
    _show(f"After a second click, on “{second['title']}” ({second['category']})", after, items)
    gained = [
        sum(items[entry["item"]]["category"] == second["category"] for entry in answer["items"])
        for answer in (before, after)
    ]
    print(f"\n“{second['category']}” in the first {SHOWN}: {gained[0]} before the click, {gained[1]} after it.")
    _answer(client, "DELETE", f"/users/{user}")
    return bool(gained[1] > gained[0])


def _click(client: httpx.Client, user: str, item: dict[str, Any]) -> None:
    event = {"id": f"{user}-{item['item_id']}", "user": user, "item": item["item_id"]}
    _answer(client, "POST", "/feedback", event)


def _rank(client: httpx.Client, user: str) -> dict[str, Any]:
    request = {"user": user, "top_k": SHOWN, "exclude_seen": True, "timeout_ms": TIMEOUT_MS, "strict": True}
    return _answer(client, "POST", "/rank", request)


def _answer(client: httpx.Client, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the answer; where the service asks for it, try again."""
    for attempt in range(1, ATTEMPTS + 1):
        answer = client.request(method, path, json=body)
        if answer.is_success or "retry-after" not in answer.headers or attempt == ATTEMPTS:
            break
        time.sleep(1.0)
    content: dict[str, Any] = answer.json()
    if not answer.is_success:
        raise CommandError(f"{method} {path} was answered with {answer.status_code}: {content['error']}")
    return content


def _show(title: str, answer: dict[str, Any], items: dict[str, dict[str, Any]]) -> None:
    print(f"\n{title}: history used {answer['history']['used']}, took {answer['took']} ms")
    for entry in answer["items"]:
        item = items[entry["item"]]
        print(f"  {entry['rank']:>2}. {item['title'][:58]:<58}  {item['category']}")


if __name__ == "__main__":
    sys.exit(main())
