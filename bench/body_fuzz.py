"""Sends mutated bodies to the whole application, in the process and without a socket.

`python -m bench.body_fuzz [--bodies 100000] [--seed 1] [--json FILE]`. The application is the real one: a small bundle,
its model, and an embedded store. Bodies are valid ones with values replaced, removed or renamed, with bytes changed, or
something else altogether: deep nesting, long numbers, lone surrogates, no JSON. Every answer must have a documented
status; a list must be a list; an error must have a name and a sentence, and nothing may be logged as unexpected.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import json
import logging
import math
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from app.main import create_app
from app.settings import read_settings
from bench.bundle_fuzz import ODD_VALUES
from tests.tiny_bundle import make_tiny_bundle

if TYPE_CHECKING:
    from collections.abc import Sequence

ITEMS: Final = tuple(f"item-{number}" for number in range(1, 41))
ROUTES: Final = {
    "/rank": (
        {"user": "u", "items": [*ITEMS[:6], {"id": "new", "text": "red shoes"}], "top_k": 3, "exclude_seen": True},
        {"history": [{"item": "item-3", "timestamp": "17"}], "diversity": 0.3, "max_per": {"category": 1}, "top_n": 5},
        {"user": "u", "items": list(ITEMS), "strategy": "sample", "temperature": 0.5, "seed": 1, "timestamp": 5},
        {"user": "u", "objective": {"click": 0.5}, "diversity": 1, "diversity_method": "mmr", "timeout_ms": 900},
    ),
    "/feedback": (
        {"user": "u", "item": "item-1", "timestamp": 1_700_000_000_000, "id": "e"},
        [{"user": "u", "item": "item-2"}, {"user": "v", "item": "nothing", "action": "view", "timestamp": "9"}],
    ),
    "/items": (
        {"id": "item-1", "text": "blue book number 4", "columns": {"title": "a"}},
        [{"id": "new", "text": "green"}, {"id": "item-2", "text": "red shoes"}],
    ),
}
SHARES: Final = {"/rank": 70, "/feedback": 25, "/items": 5}
DOCUMENTED: Final = frozenset({200, 400, 404, 422, 504})
MALFORMED: Final = (
    b"", b"null", b"[]", b"{}", b"[" * 5000, b'{"a":' * 3000, b"\xff\xfe{}", b'{"user":"\\ud800","items":["item-1"]}',
    b'{"user":1e999}', b"-", b'{"user":"u","user":"v","items":["item-1"]}', b"9" * 5000, b'"' + b"x" * 9000 + b'"',
    b"NaN", b'{"user":"u","items":' + json.dumps(["x"] * 2001).encode() + b"}", b"\x00" * 100, b"\xef\xbb\xbf{}",
)  # fmt: skip
"""Also a prefix or an insertion of other bodies."""


def main() -> int:
    """Fuzz; return 0 if every body had a documented answer, 1 otherwise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bodies", type=int, default=100_000, help="how many to send (100000)")
    parser.add_argument("--seed", type=int, default=1, help="of the mutations (1)")
    parser.add_argument("--json", type=Path, help="write the counts here")
    arguments = parser.parse_args()
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        counts, surprises = asyncio.run(fuzz(Path(folder), bodies=arguments.bodies, seed=arguments.seed))
    result = {"bodies": arguments.bodies, "seed": arguments.seed, "answers": counts, "surprises": surprises[:20]}
    print(json.dumps(result, indent=2))
    print(f"{arguments.bodies} bodies in {time.monotonic() - started_s:.0f} s", file=sys.stderr)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    return 1 if surprises else 0


async def fuzz(folder: Path, *, bodies: int, seed: int) -> tuple[dict[str, int], list[str]]:
    """Return how often each path and status came, and a line for each answer that no page promises."""
    bundle = make_tiny_bundle(folder / "bundle", item_count=40)
    settings = read_settings(
        bundle=bundle, data_dir=folder / "data", append_fsync="no", timeout_ms=2000, spare_rows=2000
    )
    application = create_app(settings, accept_when_open=True)
    unexpected = _Unexpected()
    logging.getLogger("app.api").addHandler(unexpected)
    counts: Counter[str] = Counter()
    surprises: list[str] = []
    dice = random.Random(seed)
    async with _lifespan(application.asgi):
        for number in range(bodies):
            path = dice.choices(list(SHARES), list(SHARES.values()))[0]
            body = mutated(dice.choice(ROUTES[path]), dice)
            status, answer = await ask(application.asgi, path, body)
            counts[f"{path} {status}"] += 1
            problem = wrong_about(status, answer) or unexpected.take()
            if problem:
                surprises.append(f"{number} {path} {body[:200]!r}: {status} {answer[:200]!r}: {problem}")
    logging.getLogger("app.api").removeHandler(unexpected)
    return dict(sorted(counts.items())), surprises


class _Unexpected(logging.Handler):
    """Keeps the last message of a failure that was no deliberate one."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._message = ""

    def emit(self, record: logging.LogRecord) -> None:
        self._message = f"logged: {record.getMessage()} {record.exc_info[1]!r}" if record.exc_info else ""

    def take(self) -> str:
        message, self._message = self._message, ""
        return message


def _lifespan(asgi: Any) -> Any:
    return asgi.app.router.lifespan_context(asgi.app)


async def ask(asgi: Any, path: str, body: bytes) -> tuple[int, bytes]:
    """Send one request to an ASGI application; return status and body."""
    status, answer, sent = 0, bytearray(), False
    never: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if sent:
            return await never
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status
        status = message.get("status", status)
        answer.extend(message.get("body", b""))

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "query_string": b"",
        "method": "PUT" if path == "/items" else "POST", "path": path, "raw_path": path.encode(), "root_path": "",
        "headers": [(b"content-type", b"application/json")], "client": ("127.0.0.1", 1), "server": ("test", 80),
    }  # fmt: skip
    await asgi(scope, receive, send)
    return status, bytes(answer)


def wrong_about(status: int, answer: bytes) -> str:
    """Return what an answer should not be, or nothing."""
    if status not in DOCUMENTED:
        return "the status is not documented for a body"
    content = json.loads(answer)
    if status != 200:
        named = set(content) == {"error", "error_type"} and all(content.values())
        return "" if named else "an error has a sentence and a type"
    items = content.get("items", [])
    if not isinstance(items, list):
        return ""
    if [item["rank"] for item in items] != list(range(1, len(items) + 1)):
        return "ranks do not count from 1"
    scores = [item["score"] for item in items]
    known = [score for score in scores if score is not None]
    if scores != known + [None] * (len(scores) - len(known)):
        return "items without a score come last"
    return "" if all(math.isfinite(score) for score in known) else "a score is not finite"


def mutated(valid: Any, dice: random.Random) -> bytes:
    """Return a body: a valid one, or one that is damaged in one of many ways."""
    way = dice.random()
    if way < 0.04:
        return dice.choice(MALFORMED)
    content = copy.deepcopy(valid)
    if way < 0.75:
        for _ in range(dice.choice((1, 1, 2, 3))):
            _change(content, dice)
        return json.dumps(content).encode()
    body = bytearray(json.dumps(content).encode())
    for _ in range(dice.choice((0, 1, 2, 8))):
        at = dice.randrange(len(body) + 1)
        body[at : at + dice.randrange(6)] = dice.choice(
            (dice.randbytes(dice.randrange(6)), dice.choice(MALFORMED)[:40])
        )
    return bytes(body)


def _change(content: Any, dice: random.Random) -> None:
    """Replace, remove, rename or add one value somewhere inside."""
    names: Sequence[Any]
    while True:
        names = list(content) if isinstance(content, dict) else range(len(content))
        if not names:
            return
        name = dice.choice(names)
        inner = content[name]
        if not isinstance(inner, dict | list) or not inner or dice.random() < 0.4:
            break
        content = inner
    deed = dice.random()
    if deed < 0.15:
        del content[name]
    elif deed < 0.25 and isinstance(content, dict):
        content[str(dice.choice(ODD_VALUES))[:50]] = content.pop(name)
    elif deed < 0.35 and isinstance(content, list):
        content.append(copy.deepcopy(inner))
    else:
        content[name] = copy.deepcopy(dice.choice(ODD_VALUES))


if __name__ == "__main__":
    sys.exit(main())
