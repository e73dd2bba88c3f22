"""The whole offline way for the demo shop: simulate, train, evaluate, export; steps that are done are skipped."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from model_export.__main__ import main as run_command

DEMO_CONFIG: Final = Path(__file__).parent / "demo.toml"
SHOP: Final = ("--users", "1500", "--items", "800", "--seed", "7")
BASELINES: Final = "popularity,text similarity,item-kNN"


@dataclass(frozen=True, slots=True)
class Step:
    """One command of the pipeline.

    Attributes:
        title: What a person reads while it runs.
        arguments: The command line after ``python -m model_export``.
        product: The file that exists once the step is done.
    """

    title: str
    arguments: tuple[str, ...]
    product: Path


def demo_steps(folder: Path) -> list[Step]:
    """Return the steps that make ``folder/bundle`` from nothing."""
    data, run, bundle = folder / "data", folder / "run", folder / "bundle"
    return [
        Step(
            "Simulating a small shop",
            ("simulate", "--output", str(data), *SHOP),
            data / "items.parquet",
        ),
        Step(
            "Fine-tuning the ranker",
            ("train", "--data", str(data), "--run", str(run), "--config", str(DEMO_CONFIG)),
            run / "model.safetensors",
        ),
        Step(
            "Evaluating on the full catalogue",
            ("evaluate", "--run", str(run), "--json", str(run / "evaluation.json"), "--baselines", BASELINES),
            run / "evaluation.json",
        ),
        Step(
            "Exporting to ONNX (int8) and certifying",
            ("export", "--run", str(run), "--bundle", str(bundle), "--precision", "int8"),
            bundle / "manifest.json",
        ),
    ]


def run_steps(steps: list[Step]) -> int:
    """Run the steps in order, skipping those whose product exists; return the first bad exit code, or 0."""
    for number, step in enumerate(steps, 1):
        heading = f"[{number}/{len(steps)}] {step.title}"
        if step.product.exists():
            print(f"{heading}: done before, kept", flush=True)
            continue
        print(f"{heading}: python -m model_export {' '.join(step.arguments)}", flush=True)
        started_s = time.monotonic()
        code = run_command(list(step.arguments))
        if code:
            return code
        print(f"      took {time.monotonic() - started_s:.0f} s", flush=True)
    return 0
