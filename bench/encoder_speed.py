"""Tokens a second of the item encoder: plain FP32 export, fused FP32, FP16 and INT8, alternating in one run."""

from __future__ import annotations

import argparse
import csv
import json
import os
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from app.inference.onnx_item_encoder import TOKENS_PER_RUN
from bench.machine import machine_lines
from model_export.modeling.encoder_loading import load_encoder
from model_export.modeling.text_tokens import TextTokens, tokenize
from model_export.modeling.text_tower import TextTower
from model_export.modeling.text_vectors import whitened_text_vectors
from model_export.onnx_export.encoder_graph import export_item_encoder, onnx_vectors, parity, torch_vectors

ROOT = Path(__file__).parents[1]
TITLES = ROOT / "../shared/data/amazon-games/items.csv"
RESULT = ROOT / "docs/results/encoder-speed.md"
SHAPES = ((32, 16), (128, 32))
PLAIN = "plain FP32"
PRODUCTS = ("MatMul", "FusedMatMul", "Gemm")


def texts() -> tuple[str, list[str]]:
    """Return where the texts are from, and 2,000 of them."""
    random = np.random.default_rng(0)
    if TITLES.is_file():
        with TITLES.open(encoding="utf-8", newline="") as stream:
            titles = [row["title"] for row in csv.DictReader(stream)]
        return "Amazon Games titles", [titles[row] for row in random.permutation(len(titles))[:2000]]
    words = ("wireless", "red", "controller", "game", "edition", "classic", "case", "cable", "charger", "racing")
    return "simulated titles", [" ".join(random.choice(words, random.integers(3, 12))) for _ in range(2000)]


def write_graphs(folder: Path, titles: list[str]) -> tuple[dict[str, Path], TextTower, TextTokens]:
    """Write the four graphs of MiniLM, whitened to 256; return them, the tower, and 400 texts nothing was fitted on."""
    encoder = load_encoder()
    held_out, calibration = titles[:400], titles[400:656]
    _, whitening = whitened_text_vectors(titles[400:], encoder, folder / "cache", width=256)
    tower = TextTower(encoder, whitening).eval()
    graphs = {PLAIN: folder / "plain.onnx"}
    example = tuple(torch.from_numpy(array) for array in tokenize(titles[:3], encoder.tokenizer).batch(np.arange(3)))
    axes = {0: torch.export.Dim("N"), 1: torch.export.Dim("T")}
    names = ["input_ids", "attention_mask"]
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            tower, example, dynamo=True, input_names=names, output_names=["item_vectors"], dynamic_shapes=(axes, axes)
        )
    if program is None:
        raise RuntimeError("torch made no ONNX program of the plain encoder")
    program.save(str(graphs[PLAIN]), external_data=False)
    for name, precision in (("fused FP32", "fp32"), ("FP16", "fp16"), ("INT8", "int8")):
        graphs[name] = folder / f"{precision}.onnx"
        export_item_encoder(tower, encoder.tokenizer, graphs[name], precision=precision, calibration_texts=calibration)
    return graphs, tower, tokenize(held_out, encoder.tokenizer)


def batch(tokens: TextTokens, size: int, width: int, *, full: bool) -> dict[str, np.ndarray]:
    """Return a batch of ``width`` tokens a row: rows without padding, or titles as they are."""
    longest = np.flatnonzero(tokens.lengths > 1)
    ids = np.full((size, width), tokens.pad_id, np.int64)
    mask = np.zeros((size, width), np.int64)
    stream = tokens.ids
    for row in range(size):
        position = int(longest[row % len(longest)])
        start = int(tokens.offsets[position])
        count = width if full else min(width, int(tokens.lengths[position]))
        start = min(start, len(stream) - count)
        ids[row, :count], mask[row, :count] = stream[start : start + count], 1
    return {"input_ids": ids, "attention_mask": mask}


def measure(
    graphs: dict[str, Path], feeds: dict[str, np.ndarray], *, threads: int, rounds: int
) -> dict[str, list[float]]:
    """Return the median seconds of each graph, the batch in one run and in the service's runs; all take turns."""
    sessions = {name: open_plainly(path, threads) for name, path in graphs.items()}
    size, width = feeds["input_ids"].shape
    rows = max(1, TOKENS_PER_RUN["cpu"] * threads // width)
    parts = [{name: array[start : start + rows] for name, array in feeds.items()} for start in range(0, size, rows)]
    seconds: dict[tuple[str, int], list[float]] = {}
    for turn in range(rounds + 1):
        for name, session in sessions.items():
            for manner, runs in enumerate(([feeds], parts)):
                started = time.perf_counter()
                for run in runs:
                    session.run(None, run)
                if turn:
                    seconds.setdefault((name, manner), []).append(time.perf_counter() - started)
    return {name: [float(np.median(seconds[name, manner])) for manner in (0, 1)] for name in graphs}


def open_plainly(path: Path, threads: int, *, profile: str = "") -> onnxruntime.InferenceSession:
    """Open a graph on the CPU provider as anyone would, nothing tuned."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, profile
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def product_share(path: Path, feeds: dict[str, np.ndarray], folder: Path) -> float:
    """Return the share of all nodes' time that matrix products take, from ONNX Runtime's profile of five runs."""
    session = open_plainly(path, 1, profile=str(folder / "profile"))
    for _ in range(5):
        session.run(None, feeds)
    microseconds: dict[str, list[int]] = {}
    products = set()
    for event in json.loads(Path(session.end_profiling()).read_text("utf-8")):
        if event["name"].endswith("_kernel_time"):
            microseconds.setdefault(event["name"], []).append(event["dur"])
            if event["args"]["op_name"] in PRODUCTS:
                products.add(event["name"])
    medians = {name: float(np.median(durations)) for name, durations in microseconds.items()}
    return sum(medians[name] for name in products) / sum(medians.values())


def speed_rows(graphs: dict[str, Path], held_out: TextTokens, threads: list[int], rounds: int) -> list[str]:
    """Return the rows of the speed table, each printed as soon as it is measured."""
    rows = []
    for count in threads:
        for size, width in SHAPES:
            for full in (True, False):
                feeds = batch(held_out, size, width, full=full)
                seconds = measure(graphs, feeds, threads=count, rounds=rounds)
                label = "full" if full else f"titles, {feeds['attention_mask'].mean():.0%} full"
                for manner, runs in enumerate(("one", f"{TOKENS_PER_RUN['cpu'] * count} tokens")):
                    cells = [
                        f"{size * width / value[manner]:,.0f} ({seconds[PLAIN][0] / value[manner]:.2f}x)"
                        for value in seconds.values()
                    ]
                    rows.append(f"| {count} | {size} x {width} | {label} | {runs} | " + " | ".join(cells) + " |")
                    print(rows[-1], flush=True)
    return rows


def limit_lines(graphs: dict[str, Path], held_out: TextTokens, folder: Path) -> list[str]:
    """Say how much faster than the plain export any FP32 graph could be whose products take as long."""
    lines = []
    for size, width in SHAPES:
        share = product_share(graphs[PLAIN], batch(held_out, size, width, full=True), folder)
        lines.append(
            f"- {size} x {width}, full rows, one run: products take {share:.0%} of the plain export's time, so a graph "
            f"in which everything else were free would be {1 / share:.2f}x as fast."
        )
    return lines


def report(
    graphs: dict[str, Path], source: str, speed: list[str], limits: list[str], found: dict[str, dict[str, float]]
) -> str:
    """Return the Markdown page."""
    lines = ["# Item encoder speed", "", machine_lines("torch", "transformers", "onnx"), ""]
    lines += [
        "`python -m bench.encoder_speed`: MiniLM-L6 (384 wide, 6 layers) whitened to 256, CPU provider. Tokens are",
        f"rows times columns of the batch. *Full* rows hold no padding, *titles* are {source} with theirs.",
        "*One* gives the whole batch to one `session.run`; other rows cut it as the service does (`OnnxItemEncoder`).",
        "Ratios are to the plain export (`torch.onnx.export`, default opset) given the whole batch: medians, in turns.",
        f"Other work ran on the machine (load average {os.getloadavg()[1]:.1f}). FP16 is for CUDA; it is there",
        "for parity alone on the CPU.",
        "",
        "| threads | batch | rows | runs | " + " | ".join(graphs) + " |",
        "|---|---|---|---|" + "---|" * len(graphs),
        *speed,
        "",
        "## The limit of fused FP32 on rows without padding",
        "",
        *limits,
        "",
        "Fusing takes from the rest only. What makes the products themselves faster is a run whose activations stay in",
        "a core's cache (2 MiB here): MLAS multiplied 256 to 512 rows at 95 to 110 GFLOP/s and 4,096 rows at 62 to 76",
        "(384 x 1,536 weights, one core), so the service's runs are short. ONNX Runtime has no bfloat16 product on x86",
        "(`mlas.enable_gemm_fastmath_arm64_bfloat16` is for Arm), and FP32 would not be FP32 with it.",
        "",
        "## Accuracy",
        "",
        f"Whitened vectors of 400 {source} that nothing was fitted on, against PyTorch:",
        "",
        "| graph | least cosine | mean cosine | largest error |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {value['min_cosine']:.5f} | {value['mean_cosine']:.5f} | {value['max_error']:.1e} |"
        for name, value in found.items()
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 4], help="threads of ONNX Runtime")
    parser.add_argument("--rounds", type=int, default=9, help="timed turns of each graph")
    arguments = parser.parse_args()
    source, titles = texts()
    with tempfile.TemporaryDirectory() as folder:
        graphs, tower, held_out = write_graphs(Path(folder), titles)
        reference = torch_vectors(tower, held_out)
        found = {name: parity(reference, onnx_vectors(path, held_out)) for name, path in graphs.items()}
        limits = limit_lines(graphs, held_out, Path(folder))
        speed = speed_rows(graphs, held_out, arguments.threads, arguments.rounds)
        page = report(graphs, source, speed, limits, found)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(page, "utf-8")
    print(page)


if __name__ == "__main__":
    main()
