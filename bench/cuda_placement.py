"""Where ONNX Runtime's CUDA provider runs a bundle's graphs, asked on a machine without a GPU.

python -m pip install --no-deps --target build/onnxruntime-gpu onnxruntime-gpu
python -m bench.cuda_placement --onnxruntime build/onnxruntime-gpu --bundle build/fp16-bundle

The provider is the real one. Under it lies a stand-in for CUDA (``cuda_stand_in.c``), whose memory is the host's and
whose kernels compute nothing. So this shows which nodes have a CUDA kernel, what is copied between host and device in
each run, whether runs could be captured as a CUDA graph, whether a kernel refuses its inputs before it is launched, and
that added rows reach the item table. It shows no time and no score. It needs ``cc``, ``nm`` and ``readelf``.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from app.inference.provider import CPU_PROVIDER, CUDA_PROVIDER
from bench.machine import machine_lines

STAND_IN = Path(__file__).with_name("cuda_stand_in.c")
_FUNCTION = re.compile(r"\bU ((?:__)?cu\w+)")
_LIBRARY = re.compile(r"\[(libcu[\w.]+)\]")
_DEFINED = re.compile(r"\b((?:__)?cu\w+)\(")


def output_of(*command: str | Path) -> str:
    """Run a command and return what it prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def build_stand_in(provider: Path, folder: Path) -> None:
    """Compile the stand-in and let it be found under the name of every library that the provider asks for.

    Args:
        provider: ``libonnxruntime_providers_cuda.so``.
        folder: Where the libraries are put.
    """
    source = STAND_IN.read_text("utf-8")
    wanted = set(_FUNCTION.findall(output_of("nm", "-D", "--undefined-only", provider)))
    others = sorted(wanted - set(_DEFINED.findall(source)))
    complete = folder / "stand_in.c"
    complete.write_text(source + "".join(f"int {name}(void) {{ return 0; }}\n" for name in others), "utf-8")
    output_of("cc", "-w", "-shared", "-fPIC", "-o", folder / "stand_in.so", complete)
    for name in _LIBRARY.findall(output_of("readelf", "-d", provider)):
        (folder / name).symlink_to("stand_in.so")


def asked(bundle: Path, packages: Path) -> dict[str, Any]:
    """Return what `bench.cuda_sessions` says of a bundle.

    Args:
        bundle: Its folder.
        packages: Folder of the package ``onnxruntime-gpu``.
    """
    with tempfile.TemporaryDirectory(prefix="seqrank-cuda-") as folder:
        build_stand_in(packages / "onnxruntime" / "capi" / "libonnxruntime_providers_cuda.so", Path(folder))
        done = subprocess.run(
            [sys.executable, "-m", "bench.cuda_sessions", str(bundle)],
            env={**os.environ, "LD_LIBRARY_PATH": folder, "PYTHONPATH": str(packages.resolve())},
            check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def row(graph: str, found: dict[str, Any]) -> str:
    """Return one graph's line of the table."""
    placed = found["run"]["placed"]
    on_cuda = dict(placed.get(CUDA_PROVIDER, {}))
    copies = sum(on_cuda.pop(name, 0) for name in ("MemcpyFromHost", "MemcpyToHost"))
    on_cpu = ", ".join(f"{count} {name}" for name, count in sorted(placed.get(CPU_PROVIDER, {}).items()))
    captured = "accepted" if not found["capture"]["error"] else "refused"
    return f"| {graph} | {sum(on_cuda.values())} | {on_cpu or 'none'} | {copies} | {captured} |"


def main() -> int:
    """Ask and write ``docs/results/cuda-placement.md``."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.cuda_placement", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, default=Path("build/demo/bundle"))
    parser.add_argument("--onnxruntime", type=Path, required=True, help="folder that onnxruntime-gpu is installed in")
    parser.add_argument("--output", type=Path, default=Path("docs/results/cuda-placement.md"))
    arguments = parser.parse_args()
    found = asked(arguments.bundle, arguments.onnxruntime)
    lines = [
        "# Where CUDA would run the graphs",
        "",
        f"`python -m bench.cuda_placement --bundle … --onnxruntime …` · onnxruntime-gpu {found['version']} · "
        + machine_lines(),
        "",
        "No GPU: the CUDA provider is the real one, CUDA under it a stand-in whose kernels compute nothing.",
        "",
        "| graph | nodes on CUDA | nodes on the CPU | copies between them a run | captured as a CUDA graph |",
        "|---|---|---|---|---|",
        *(row(graph, entry) for graph, entry in found["graphs"].items()),
        "",
        "\n".join(f"- {refusal}" for refusal in found["refusals"])
        or "Every golden request runs: no kernel of ranker and retriever refuses its inputs.",
        "",
        "Rows that are added are copied into the table on the device, and nothing else there changes."
        if found["in_place"]
        else "Rows that are added do NOT reach the table on the device.",
        "",
        "A session that accepts capture has no copies in its graph. The encoder's shapes depend on its data",
        "(`NonZero`), which no captured graph can follow.",
    ]
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text("\n".join(lines) + "\n", "utf-8")
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
