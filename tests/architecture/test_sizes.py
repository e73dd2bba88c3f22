"""Files and functions stay small enough to be read in one go."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 40
EXCEPTIONS: dict[str, str] = {}
"""``path`` or ``path:function`` -> why it is longer."""


def our_files() -> list[Path]:
    """Return every Python file of the project's own folders, as paths relative to the project."""
    folders = ("app", "model_export", "tests", "bench")
    return sorted(path.relative_to(ROOT) for folder in folders for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", our_files(), ids=str)
def test_a_file_and_its_functions_are_short(path: Path) -> None:
    """No file has more than 300 lines and no function more than 40, but for the listed exceptions."""
    text = (ROOT / path).read_text("utf-8")
    too_long = {str(path)} if text.count("\n") > MAX_FILE_LINES else set()
    too_long |= {
        f"{path}:{node.name}"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno + 1 > MAX_FUNCTION_LINES
    }
    assert too_long <= EXCEPTIONS.keys()


@pytest.mark.parametrize("path", our_files(), ids=str)
def test_a_module_says_its_job_in_its_first_line(path: Path) -> None:
    """Every module starts with a docstring whose first line is a sentence."""
    docstring = ast.get_docstring(ast.parse((ROOT / path).read_text("utf-8")))
    assert docstring
    assert docstring.splitlines()[0].endswith((".", ":", "?")), docstring.splitlines()[0]
