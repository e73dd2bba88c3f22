"""Certify a run and publish it as a bundle.

Writes the graphs, the item table and the golden requests, measures them on the held-out test set through the classes
that serve, and publishes the folder in one step. Fails, and leaves nothing behind, when a tolerance of the precision is
missed; the message names the layer.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from app.contract.manifest import PRECISIONS
from app.contract.manifest_rules import MAX_NAME_CHARACTERS, is_safe_file_name
from app.contract.signature import read_private_key
from model_export.errors import ExportError

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--run", type=Path, required=True, help="folder that `train` wrote")
    parser.add_argument("--bundle", type=Path, required=True, help="folder to make; it must not exist")
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="fp32", help="fp32, fp16 for CUDA, int8 for CPU (default fp32)"
    )
    parser.add_argument("--name", default="seqrank", help="the model's name in /rank/{model} (default seqrank)")
    parser.add_argument(
        "--sign-key", type=Path, help="PEM file of an Ed25519 private key (openssl genpkey -algorithm ed25519)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Export; return 0."""
    if not is_safe_file_name(arguments.name):
        expected = f"1 to {MAX_NAME_CHARACTERS} of A-Z a-z 0-9 . _ + -"
        raise ExportError(f"--name is {arguments.name[:MAX_NAME_CHARACTERS]!r}, expected {expected}")
    if arguments.sign_key is not None:
        read_private_key(arguments.sign_key)
    from model_export.onnx_export.certificate_table import certificate_table
    from model_export.onnx_export.exporter import ExportOptions, export_run
    from model_export.training.trained_run import load_trained_run

    options = ExportOptions(precision=arguments.precision, name=arguments.name, sign_key=arguments.sign_key)
    selected = load_trained_run(arguments.run, selected=True).model
    manifest = export_run(load_trained_run(arguments.run), selected, arguments.bundle, options)
    print(f"\n{certificate_table([manifest])}\npublished {manifest.name} {manifest.version} at {arguments.bundle}")
    print(f"next: python -m app --bundle {arguments.bundle}")
    return 0
