"""Verifies bundles and writes their certificates as JSON and one Markdown table.

`python -m bench.certificates BUNDLE... --output docs/results`. Each bundle is opened as the service would open it; its
manifest without file hashes becomes ``certificate-PRECISION.json``, and all of them ``certificates.md``.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from app.inference.bundle import Bundle, open_bundle
from bench.machine import machine_lines
from model_export.onnx_export.certificate_table import certificate_table

if TYPE_CHECKING:
    from app.contract.manifest import Manifest


def main() -> int:
    """Write the files; return 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", type=Path, nargs="+", help="bundle folders, one a precision")
    parser.add_argument("--output", type=Path, default=Path("docs/results"), help="folder to write to")
    arguments = parser.parse_args()
    opened = [open_bundle(path, provider="cpu") for path in arguments.bundles]
    arguments.output.mkdir(parents=True, exist_ok=True)
    for bundle in opened:
        path = arguments.output / f"certificate-{bundle.manifest.precision}.json"
        path.write_text(certificate_json(bundle.manifest), "utf-8")
    (arguments.output / "certificates.md").write_text(certificate_page(opened), "utf-8")
    return 0


def certificate_json(manifest: Manifest) -> str:
    """Return what a manifest says, file hashes included, calibration left out: it is long and no certificate."""
    content = asdict(manifest)
    del content["calibration"]
    return json.dumps(content, indent=2) + "\n"


def certificate_page(bundles: list[Bundle]) -> str:
    """Return the Markdown page."""
    manifests = [bundle.manifest for bundle in bundles]
    first = manifests[0]
    data = first.training_data
    replays = "\n".join(
        f"- {bundle.manifest.precision}: {bundle.certificate.requests} golden requests within "
        f"{bundle.certificate.max_score_error:.2e}, {bundle.certificate.texts} texts within cosine "
        f"{bundle.certificate.min_cosine:.5f}, in {bundle.certificate.took_ms:.0f} ms"
        for bundle in bundles
    )
    return (
        f"# Certificates of {first.name}\n\n"
        f"{machine_lines('onnx', 'torch', 'tokenizers')}\n\n"
        f"One trained run ({data['users']} users, {data['items']} items, {data['events']} events, "
        f"split {data['split']}) exported in each precision and measured on its {first.parity['questions']} "
        "held-out test questions against the PyTorch module in FP32. What each row means and the limits: "
        "[the bundle](../bundle.md#the-certificate).\n\n"
        f"{certificate_table(manifests)}\n"
        "The item table is computed in FP32 in every precision, so the first rows of INT8 say what its ranker does. "
        "The rows `all texts read by its encoder` say what its encoder would do to a catalogue of nothing but items "
        "added online: that is beyond INT8's 0.97 and 0.5%, and why the table is not computed by it.\n\n"
        f"Opened again, as the service does:\n\n{replays}\n\n"
        "Made by `python -m model_export export --run RUN --bundle DIR --precision P --name NAME` for each precision, "
        "then `python -m bench.certificates DIR... --output docs/results`.\n"
    )


if __name__ == "__main__":
    sys.exit(main())
