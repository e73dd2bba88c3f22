"""Play the held-out test through a live service and compare with the offline metrics.

For each test user: the history goes to the service (POST /feedback, or inside the rank request with
--inline-history), then the whole catalogue is ranked (POST /rank, exclude_seen, at the moment of the held-out event),
then the user is deleted again. Prints online beside offline and ends with 1 if NDCG@10 differs by more than 1e-3.

Offline are the bundle's own metrics as /info shows them; with --bundle they are computed anew for exactly these
questions and rules. With --users, --objective, --diversity or --strategy sample nothing is compared without it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from model_export.data.dataset import read_dataset
from model_export.data.splits import LEAVE_ONE_OUT, SPLIT_NAMES, split_by_name
from model_export.errors import CommandError
from model_export.option_values import number, whole_number

if TYPE_CHECKING:
    from app.inference.bundle import Bundle
    from model_export.evaluation.questions import Questions
    from model_export.evaluation.replay_client import Replayed
    from model_export.evaluation.replay_plan import ReplayPlan

TOLERANCE: Final = 1e-3
COMPARED: Final = "NDCG@10"
FROM_MANIFEST: Final = "the bundle's manifest"
_SHOWN: Final = ("HR@10", "NDCG@10", "MRR@10", "HR@20", "NDCG@20", "Accuracy")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    count = whole_number(1)
    parser.add_argument("--url", required=True, help="of the service, for example http://127.0.0.1:8000")
    parser.add_argument("--data", type=Path, required=True, help="prepared data that the bundle was made of")
    parser.add_argument("--users", type=count, metavar="N", help="only a seeded sample of the test users")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers")
    parser.add_argument("--bundle", type=Path, help="the bundle that is served, to compute offline lists")
    parser.add_argument(
        "--division", choices=SPLIT_NAMES, help="how the data is divided (as for the bundle's training)"
    )
    parser.add_argument("--inline-history", action="store_true", help="send histories in the rank requests")
    parser.add_argument(
        "--kept-events", type=count, default=200, help="the service's SEQRANK_HISTORY_KEPT_EVENTS (200)"
    )
    parser.add_argument("--top-k", type=whole_number(10), default=20, help="places that are measured, at least 10 (20)")
    parser.add_argument("--concurrency", type=count, default=8, help="requests under way at one time (8)")
    parser.add_argument("--api-key", help="sent as a bearer token; it has to be one that may delete users")
    parser.add_argument("--objective", type=_weights, default={}, metavar="JSON", help='for example {"purchase": 1}')
    parser.add_argument("--diversity", type=number(0, 1), default=0.0, help="0..1 (0)")
    parser.add_argument("--strategy", choices=("top_k", "sample"), default="top_k")
    parser.add_argument("--temperature", type=number(0.001, 1000), default=1.0, help="of --strategy sample (1)")
    parser.add_argument(
        "--seed", type=whole_number(0), default=0, help="of --strategy sample; user n draws with seed + n (0)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Replay; print online beside offline; return 1 if they differ."""
    from model_export.evaluation.replay_plan import metrics_of_places

    plan = _plan(arguments)
    bundle = _bundle(arguments)
    info, questions, replayed = asyncio.run(_replay(arguments, plan, bundle))
    result: dict[str, Any] = {
        "questions": len(questions),
        "online": metrics_of_places(replayed.places_T, plan.top_k),
        "offline": None,
        "latency_ms": _percentiles(replayed),
        "seconds": replayed.seconds,
        "degraded": replayed.degraded,
        "repeated": replayed.repeated,
        "busy": replayed.busy,
        "service": {key: info.get(key) for key in ("name", "version", "precision", "provider", "items_online")},
    }
    result |= _offline(arguments, bundle, plan=plan, questions=questions, replayed=replayed, info=info)
    if arguments.json is not None:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    return _verdict(result)


def _plan(arguments: argparse.Namespace) -> ReplayPlan:
    from model_export.evaluation.replay_plan import ReplayPlan

    return ReplayPlan(
        top_k=arguments.top_k,
        inline_history=arguments.inline_history,
        kept_events=arguments.kept_events,
        objective=arguments.objective,
        diversity=arguments.diversity,
        strategy=arguments.strategy,
        temperature=arguments.temperature,
        seed=arguments.seed,
    )


def _questions(arguments: argparse.Namespace, bundle: Bundle | None, info: dict[str, Any]) -> Questions:
    """Return the questions, divided off as for the bundle's training where it is known; else as leave-one-out."""
    from model_export.evaluation.bundle_scorer import require_same_shop
    from model_export.evaluation.questions import Questions
    from model_export.evaluation.subject import division_of

    data, division = read_dataset(arguments.data), arguments.division or info.get("split") or LEAVE_ONE_OUT
    if bundle is not None:
        require_same_shop(bundle, data)
        division = division_of(bundle.manifest, data, arguments.division)
    data, split = split_by_name(data, division)
    questions = Questions.of(data, split.test)
    if not len(questions):
        raise CommandError("the data holds nothing to ask, expected users with at least three events")
    return questions if arguments.users is None else questions.sampled(arguments.users, np.random.default_rng(0))


def _bundle(arguments: argparse.Namespace) -> Bundle | None:
    """Open the bundle that offline lists are computed with, if one is named."""
    if arguments.bundle is None:
        return None
    from app.inference.bundle import open_bundle

    return open_bundle(arguments.bundle)


async def _replay(
    arguments: argparse.Namespace, plan: ReplayPlan, bundle: Bundle | None
) -> tuple[dict[str, Any], Questions, Replayed]:
    from tqdm import tqdm

    from model_export.evaluation.replay_client import ReplayClient
    from model_export.evaluation.served_shop import require_same_shop_served, require_served

    async with ReplayClient(arguments.url, api_key=arguments.api_key, concurrency=arguments.concurrency) as client:
        info = await client.info()
        questions = _questions(arguments, bundle, info)
        await require_same_shop_served(client, info, questions.data)
        if bundle is not None:
            require_served(info, bundle.manifest)
        with tqdm(total=len(questions), unit="user", desc="replay", disable=None) as bar:
            try:
                return info, questions, await client.replay(questions, plan, bar.update)
            except* CommandError as errors:
                raise CommandError(str(errors.exceptions[0])) from errors


def _offline(
    arguments: argparse.Namespace,
    bundle: Bundle | None,
    *,
    plan: ReplayPlan,
    questions: Questions,
    replayed: Replayed,
    info: dict[str, Any],
) -> dict[str, Any]:
    """Return what offline says, and where it comes from."""
    if bundle is not None:
        from model_export.evaluation.replay_offline import expected_places
        from model_export.evaluation.replay_plan import metrics_of_places

        places_T = expected_places(bundle, questions, plan)
        other = int((np.minimum(places_T, plan.top_k + 1) != np.minimum(replayed.places_T, plan.top_k + 1)).sum())
        found = metrics_of_places(places_T, plan.top_k)
        return {"offline": found, "offline_source": "the bundle, same questions", "other_place": other}
    if plan.is_plain and arguments.users is None and COMPARED in info.get("metrics", {}):
        return {"offline": info["metrics"], "offline_source": FROM_MANIFEST}
    return {"offline_source": "nothing: --bundle is needed for a sample of users or for list rules"}


def _verdict(result: dict[str, Any]) -> int:
    """Print the comparison; return the exit code."""
    from model_export.evaluation.tables import markdown_table

    online, offline = result["online"], result["offline"] or {}
    rows = [
        [
            key,
            f"{online[key]:.5f}",
            f"{offline[key]:.5f}" if key in offline else "",
            f"{online[key] - offline[key]:+.5f}" if key in offline else "",
        ]
        for key in _SHOWN
        if key in online
    ]
    print(markdown_table(["metric", "online", "offline", "difference"], rows))
    latency = result["latency_ms"]
    print(f"{result['questions']} users in {result['seconds']:.1f} s; /rank p50 {latency['p50']:.1f} ms, "
          f"p99 {latency['p99']:.1f} ms; offline from {result['offline_source']}")  # fmt: skip
    if "other_place" in result:
        print(f"answers at another place than offline: {result['other_place']} of {result['questions']}")
    if result["busy"]:
        print(f"requests that the service was too busy for and that were sent again: {result['busy']}")
    if result["repeated"]:
        print(f"degraded answers that were asked for again: {result['repeated']}")
    if result["degraded"]:
        print(f"degraded answers: {result['degraded']}")
    if COMPARED not in offline:
        return 0
    difference = abs(online[COMPARED] - offline[COMPARED])
    agrees = difference <= TOLERANCE
    print(
        f"{COMPARED}: online and offline differ by {difference:.6f}, {'within' if agrees else 'MORE THAN'} {TOLERANCE}"
    )
    changed = result["service"]["items_online"]
    if changed and not agrees:
        print(f"items changed online: {changed}; by these alone lists differ from the bundle's")
    return 0 if agrees else 1


def _percentiles(replayed: Replayed) -> dict[str, float]:
    p50, p99 = np.percentile(replayed.took_ms_T, [50, 99])
    return {"p50": float(p50), "p99": float(p99)}


def _weights(text: str) -> dict[str, float]:
    """Read objective weights from the command line; an argparse type."""
    try:
        weights = json.loads(text)
        return {str(name): float(weight) for name, weight in weights.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise argparse.ArgumentTypeError(
            f'the value is {text}, expected a JSON object of weights such as {{"purchase": 1}}'
        ) from error
