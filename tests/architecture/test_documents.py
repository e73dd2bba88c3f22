"""What the documents say exists."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from app.api.rank_query import DEFAULT_TOP_K
from app.api.schemas import FeedbackEvent, ItemChange, RankRequest
from model_export.__main__ import COMMANDS
from model_export.run_config import ModelConfig, TextConfig, TrainingConfig

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(path.relative_to(ROOT) for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_every_command_in_a_document_exists(path: Path) -> None:
    """Each `python -m …` and `make …` that a document names is there."""
    text = (ROOT / path).read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), flags=re.MULTILINE))
    assert set(re.findall(r"python -m model_export ([a-z]+)", text)) <= COMMANDS.keys()
    assert set(re.findall(r"(?:^|`|DEMO_EXIT=1 )make ([a-z-]+)", text, flags=re.MULTILINE)) <= targets
    for module in re.findall(r"python -m (bench\.[a-z_]+)", text):
        assert (ROOT / Path(*module.split("."))).with_suffix(".py").exists(), module


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_every_link_in_a_document_leads_somewhere(path: Path) -> None:
    """Each relative link and picture of a document points to a file of the project."""
    text = (ROOT / path).read_text("utf-8")
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", text)
    missing = [link for link in links if not (ROOT / path.parent / link).exists()]
    assert missing == []


def anchors_of(path: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ +(.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_every_link_to_a_heading_finds_it(path: Path) -> None:
    """Each `page.md#anchor` and `#anchor` of a document names a heading of that page."""
    text = (ROOT / path).read_text("utf-8")
    links = re.findall(r"\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)", text)
    pages = [(ROOT / path.parent / page if page else ROOT / path, anchor) for page, anchor in links]
    assert [(page.name, anchor) for page, anchor in pages if anchor not in anchors_of(page)] == []


def test_the_page_of_mutations_names_files_and_tests_that_exist() -> None:
    """Each row names a source file and a test that are there."""
    page = (ROOT / "docs" / "results" / "mutations.md").read_text("utf-8")
    tests = {path.name: path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py")}
    rows = re.findall(r"^\| .* \| `(app/.*|model_export/.*)` \| `(\w+\.py)`(?: `(\w+)`)? \|$", page, flags=re.MULTILINE)
    assert len(rows) == page.count("\n| ") - 1
    for source, file, name in rows:
        assert (ROOT / source).exists(), source
        assert f"def {name}" in tests[file], (file, name)


def test_the_settings_of_the_readme_are_those_of_the_operations_page() -> None:
    """Each row of the README's settings table stands word for word in the table that is checked against the code."""
    rows = re.findall(r"^\| `SEQRANK_.*$", (ROOT / "README.md").read_text("utf-8"), flags=re.MULTILINE)
    operations = (ROOT / "docs" / "operations.md").read_text("utf-8").splitlines()
    assert rows
    assert [row for row in rows if row not in operations] == []


def test_the_interface_page_names_every_field() -> None:
    """Each field that a request may have, and its default length of a list, stand in ``docs/api.md``."""
    page = (ROOT / "docs" / "api.md").read_text("utf-8")
    fields = {*RankRequest.__struct_fields__, *FeedbackEvent.__struct_fields__, *ItemChange.__struct_fields__}
    assert [name for name in sorted(fields) if f"`{name}`" not in page] == []
    assert f"**{DEFAULT_TOP_K}**" in page


def test_the_training_page_names_every_setting() -> None:
    """Each key of a run's configuration stands in ``docs/training.md``."""
    page = (ROOT / "docs" / "training.md").read_text("utf-8")
    names = [field.name for section in (ModelConfig, TextConfig, TrainingConfig) for field in fields(section)]
    assert [name for name in names if f"`{name}`" not in page] == []


def test_the_service_installs_without_torch() -> None:
    """No requirement of the `service`, `cuda` and `online` extras is a training library."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    wanted = " ".join(extras["service"] + extras["cuda"] + extras["online"])
    assert not re.search(r"torch|transformers|peft|optuna|seqrank\[(export|demo|test)", wanted)
