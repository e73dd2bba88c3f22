"""The arrows between packages are those of the design."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

ALLOWED = {
    "app.errors": set(),
    "app.contract": {"app.errors"},
    "app.selection": {"app.contract", "app.errors"},
    "app.ranking": {"app.contract", "app.selection", "app.errors"},
    "app.inference": {"app.contract", "app.errors"},
    "app.catalog": {"app.contract", "app.errors"},
    "app.storage": {"app.contract", "app.errors"},
    "app.observability": {"app.contract", "app.errors"},
    "app.settings": {"app.contract", "app.errors"},
    "app.api": {"app.ranking", "app.contract", "app.selection", "app.errors"},
    "model_export": {"app.contract", "app.inference", "app.selection", "app.errors"},
}
"""Package -> the packages of ours that it may import besides itself. App's top files, which compose, are not listed."""

FOREIGN_TO_APP = {"torch", "transformers", "model_export", "onnx", "peft", "sentence_transformers"}


def package_of(module: str) -> str:
    """Return the package that a module belongs to: ``app.ranking`` or ``model_export``."""
    parts = module.split(".")
    return parts[0] if parts[0] != "app" or len(parts) == 1 else ".".join(parts[:2])


def imports_of(path: Path) -> set[str]:
    """Return every absolute module name that a file imports, type-checking imports left out."""
    tree = ast.parse(path.read_text("utf-8"))
    type_only = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and "TYPE_CHECKING" in ast.dump(branch.test)
        for node in ast.walk(branch)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in type_only:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
            if node.module == "app":
                found |= {f"app.{alias.name}" for alias in node.names}
    return found


def source_files() -> list[Path]:
    """Return every Python file of the two packages, as paths relative to the project."""
    return sorted(path.relative_to(ROOT) for name in ("app", "model_export") for path in (ROOT / name).rglob("*.py"))


@pytest.mark.parametrize("path", source_files(), ids=str)
def test_a_file_imports_only_what_its_package_may(path: Path) -> None:
    """No file of ours imports against the arrows, and nothing of the service imports the exporter or torch."""
    module = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
    home = package_of(module)
    imported = imports_of(ROOT / path)
    if home.split(".")[0] == "app":
        assert not {name for name in imported if name.split(".")[0] in FOREIGN_TO_APP}
    if home in ALLOWED:
        ours = {package_of(name) for name in imported if name.split(".")[0] in {"app", "model_export"}}
        assert not ours - ALLOWED[home] - {home}


def test_every_package_of_the_service_has_its_arrows() -> None:
    """No folder of the service is left out of the table, where nothing would be forbidden to it."""
    packages = {f"app.{folder.name}" for folder in (ROOT / "app").iterdir() if (folder / "__init__.py").exists()}
    assert packages
    assert packages <= ALLOWED.keys()


def test_importing_the_service_loads_no_training_library() -> None:
    """``import app.main`` works without torch, transformers and the exporter being loaded."""
    code = f"import sys, app.main; print(sorted({FOREIGN_TO_APP!r} & set(name.split('.')[0] for name in sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
