"""Check a bundle without serving it: files, signature, golden requests.

Prints the certificate as a table. Exit code 0: the bundle is what it says; 1: it is not, and why.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from app.errors import BundleError

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("bundle", type=Path, help="bundle folder")
    parser.add_argument("--public-key", type=Path, help="require a signature by this Ed25519 key (PEM file)")
    parser.add_argument(
        "--provider", choices=("auto", "cpu", "cuda"), default="cpu", help="where to replay the golden requests"
    )


def run(arguments: argparse.Namespace) -> int:
    """Verify; return 0 if the bundle is good, 1 if it is not."""
    from app.inference.bundle import open_bundle
    from model_export.onnx_export.certificate_table import certificate_table

    try:
        bundle = open_bundle(arguments.bundle, provider=arguments.provider, public_key=arguments.public_key)
    except BundleError as error:
        print(f"not good: {error}", file=sys.stderr)
        return 1
    found = bundle.certificate
    print(certificate_table([bundle.manifest]))
    print(
        f"good: {len(bundle.manifest.files)} files unaltered, "
        f"{'signed, ' if arguments.public_key else ''}{found.requests} golden requests within "
        f"{found.max_score_error:.2e} and {found.texts} texts within cosine {found.min_cosine:.5f} "
        f"on {bundle.provider.name} in {found.took_ms:.0f} ms"
    )
    return 0
