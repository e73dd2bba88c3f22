"""The child of `bench.cuda_placement`: opens graphs on CUDA and prints what ONNX Runtime did with them, as JSON."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort

from app.contract.golden import read_golden
from app.contract.manifest import ITEM_ENCODER_FILE, ITEM_TABLE_FILE, RANKER_FILE, RETRIEVER_FILE, read_manifest
from app.inference.onnx_ranker import OnnxRanker
from app.inference.provider import CPU_PROVIDER, CUDA_PROVIDER, Provider, obtain_provider
from app.inference.resident_table import ResidentTable

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEADING = re.compile(r"placed on \[(\w+)\]")
_NODE = re.compile(r"VerifyEachNodeIsAssignedToAnEp\]\s+(\w+) \(")


@contextmanager
def verbose_log() -> Iterator[list[str]]:
    """Collect what ONNX Runtime prints meanwhile; the list is filled at the end."""
    lines: list[str] = []
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield lines
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            lines += file.read().decode("utf-8", "replace").splitlines()


def placement(graph: Path, provider: Provider, *, capture: bool) -> dict[str, Any]:
    """Return the operators on each side and the copies between them, or the error.

    Args:
        graph: The ``.onnx`` file.
        provider: CUDA.
        capture: Whether runs are to be captured as a CUDA graph.
    """
    options = {**provider.session_providers[0][1], **({"enable_cuda_graph": 1} if capture else {})}
    session_options = ort.SessionOptions()
    session_options.log_severity_level = 0
    error = ""
    with verbose_log() as lines:
        try:
            ort.InferenceSession(str(graph), session_options, providers=[(CUDA_PROVIDER, options), CPU_PROVIDER])
        except Exception as failure:  # noqa: BLE001 -- ONNX Runtime's exceptions share no base class
            error = " ".join(str(failure).split())[:200]
    return {"error": error, "placed": _placed(lines)}


def _placed(lines: list[str]) -> dict[str, dict[str, int]]:
    placed: dict[str, Counter[str]] = {}
    side = ""
    for line in lines:
        heading, node = _HEADING.search(line), _NODE.search(line)
        if heading:
            side = heading.group(1)
        elif node and side:
            placed.setdefault(side, Counter())[node.group(1)] += 1
    return {side: dict(operators) for side, operators in placed.items()}


def refusals(bundle: Path, provider: Provider) -> list[str]:
    """Return why golden requests could not be run; what they score is not looked at."""
    ranker = OnnxRanker(bundle, np.load(bundle / ITEM_TABLE_FILE), provider=provider)
    found = []
    for request in read_golden(bundle, read_manifest(bundle)).requests:
        batch = request.batch()
        try:
            ranker.score(batch)
            ranker.score_catalog(batch.history)
        except Exception as failure:  # noqa: BLE001 -- every one of them is a result
            found.append(f"{request.name}: {failure}")
    return found


def writes_rows_in_place(bundle: Path, provider: Provider) -> bool:
    """Return whether rows that are added reach the table on the device, and nothing else changes there."""
    before = np.load(bundle / ITEM_TABLE_FILE)
    after = np.concatenate([before, before[1:10] + before.dtype.type(1)])
    rows = np.arange(len(before), len(after))
    resident = ResidentTable(before, provider)
    resident.write(after, rows)
    return bool(np.array_equal(resident.value.numpy()[: len(after)], after))


def main() -> int:
    """Print one JSON object."""
    bundle = Path(sys.argv[1])
    provider = obtain_provider("cuda")
    graphs = {
        name: {"run": placement(bundle / name, provider, capture=False),
               "capture": placement(bundle / name, provider, capture=True)}
        for name in (RANKER_FILE, RETRIEVER_FILE, ITEM_ENCODER_FILE)
    }  # fmt: skip
    found = {
        "version": ort.__version__,
        "graphs": graphs,
        "refusals": refusals(bundle, provider),
        "in_place": writes_rows_in_place(bundle, provider),
    }
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
