"""What libraries read from the environment is written there before they are imported, and never afterwards."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from app.inference.bundle import open_bundle


@pytest.mark.parametrize("package", ["app.inference.provider", "model_export"])
def test_onnx_runtime_keeps_no_device_id_and_no_reports(tmp_path, package):
    """By default it writes both into the home folder as soon as it is imported, and sends the reports away."""
    quiet = ("ORT_", "XDG_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(quiet)}
    command = [sys.executable, "-c", f"import {package}, onnxruntime"]
    subprocess.run(command, env={**environment, "HOME": str(tmp_path)}, check=True)
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_is_opened_without_a_word_in_the_environment(tiny_bundle, monkeypatch):
    """It is opened in a thread, while others may be reading it: the C library's answer to that is a crash."""
    for name in ("TOKENIZERS_PARALLELISM", "ORT_DISABLE_TELEMETRY"):
        monkeypatch.delenv(name, raising=False)
    before = dict(os.environ)
    open_bundle(tiny_bundle, provider="cpu")
    assert dict(os.environ) == before
