"""Nobody is told that Seqrank runs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("package", ["app.inference.provider", "model_export"])
def test_onnx_runtime_keeps_no_device_id_and_no_reports(tmp_path, package):
    """By default it writes both into the home folder as soon as it is imported, and sends the reports away."""
    quiet = ("ORT_", "XDG_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(quiet)}
    command = [sys.executable, "-c", f"import {package}, onnxruntime"]
    subprocess.run(command, env={**environment, "HOME": str(tmp_path)}, check=True)
    assert list(tmp_path.iterdir()) == []
