"""What the documents say exists."""

from __future__ import annotations

import importlib
import json
import re
import shlex
import tomllib
from argparse import ArgumentParser
from dataclasses import fields
from pathlib import Path

import pytest

from app.__main__ import _parse
from app.api import openapi
from app.api.error_responses import TABLE
from app.api.rank_query import DEFAULT_TOP_K
from app.contract.tolerances import TOLERANCES
from app.settings import PREFIX, Settings
from model_export.__main__ import COMMANDS
from model_export.onnx_export.tolerances import ENCODER_MIN_MEAN_COSINE, ONLINE_MIN_TOP10_AGREEMENT
from model_export.run_config import ModelConfig, TextConfig, TrainingConfig
from model_export.training.capacity import LONG, SHORT, SPARSE

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


def parser_of(command: str) -> ArgumentParser:
    """Return the parser of a command of ``python -m model_export``."""
    parser = ArgumentParser()
    importlib.import_module(f"model_export.commands.{command}").add_arguments(parser)
    return parser


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_every_command_line_in_a_document_is_understood(path: Path) -> None:
    """Each line of a code block that begins with ``python -m`` has options, values and choices that are taken."""
    text = (ROOT / path).read_text("utf-8").replace("\\\n", " ")
    for module, line in re.findall(r"^ *python -m (app|model_export) (.*)$", text, flags=re.MULTILINE):
        # of [--option NAME], RUN ... and one|other the shortest that is meant, and seed 1
        words = shlex.split(re.sub(r"[\[\]&]|\.\.\.|\|\S+", "", line).replace(" S ", " 1 "), comments=True)
        if module == "app":
            _parse(words)
        else:
            parser_of(words[0]).parse_args(words[1:])


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_every_option_beside_a_command_exists(path: Path) -> None:
    """Each ``COMMAND --option`` between backticks names options that the command has."""
    text = (ROOT / path).read_text("utf-8")
    for command, rest in re.findall(rf"`(?:[^`\n]* )?({'|'.join(COMMANDS)}) (--[^`\n]*)`", text):
        known = parser_of(command).format_help()
        assert [option for option in re.findall(r"--[a-z0-9-]+", rest) if option not in known] == [], rest


def test_every_variable_in_a_document_is_a_setting() -> None:
    """Each ``SEQRANK_...`` of documents, images and deployment files is known to the service."""
    files = ["README.md", "Dockerfile", *(str(path.relative_to(ROOT)) for path in ROOT.glob("docker-compose*.yml"))]
    text = "".join((ROOT / path).read_text("utf-8") for path in [*DOCUMENTS, *files])
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    assert set(re.findall(r"SEQRANK_[A-Z_]+[A-Z]", text)) <= known


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_every_test_file_that_a_document_names_exists(path: Path) -> None:
    """Each `test_….py` is there."""
    names = set(re.findall(r"`(?:tests/[\w/]*)?(test_\w+\.py)`", (ROOT / path).read_text("utf-8")))
    assert names <= {found.name for found in (ROOT / "tests").rglob("test_*.py")}


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
    """Each field that a request or an answer may have, and the default length of a list, stand in ``docs/api.md``."""
    page = (ROOT / "docs" / "api.md").read_text("utf-8")
    probes = {"LiveAnswer", "ReadyAnswer", "LatencyAnswer"}
    names = {name for schema in openapi._TYPES if schema.__name__ not in probes for name in schema.__struct_fields__}
    assert [name for name in sorted(names) if f"`{name}`" not in page and f'"{name}"' not in page] == []
    assert f"**{DEFAULT_TOP_K}**" in page


def test_the_interface_page_names_every_error() -> None:
    """Each status and kind of the one table of errors stands in the page's table."""
    page = (ROOT / "docs" / "api.md").read_text("utf-8")
    kinds = dict(re.findall(r"^\| (\d{3}) \| (.*?) \|", page, flags=re.MULTILINE))
    assert [(status, kind) for status, kind in TABLE.values() if f"`{kind}`" not in kinds.get(str(status), "")] == []


def test_the_training_page_has_every_setting_with_its_default() -> None:
    """Each key of a run's configuration stands in ``docs/training.md`` with its default, or that the data decide."""
    page = (ROOT / "docs" / "training.md").read_text("utf-8")
    for name, section in (("model", ModelConfig), ("text", TextConfig), ("training", TrainingConfig)):
        table = page.partition(f"\n`[{name}]`\n")[2].partition("\n\n`")[0]
        rows = re.findall(r"^\| (`.*?) \| (.*?) \|", table, flags=re.MULTILINE)
        shown = {key: value for keys, value in rows for key in re.findall(r"\w+", keys)}
        assert shown.keys() == {field.name for field in fields(section)}
        for field in fields(section):
            assert shown_default(shown[field.name]) == default_of(field.name, field.default), field.name


def shown_default(cell: str) -> object:
    """Return the value that a cell of a table of defaults shows; None for one that is chosen later."""
    if cell.startswith("from "):
        return None
    return tomllib.loads("value = " + cell.strip("`").replace(",", ""))["value"]


def default_of(name: str, default: object) -> object:
    """Return a default; where the data decide, and every kind of data alike, what they decide."""
    sizes = {getattr(capacity, name, None) for capacity in (SPARSE, SHORT, LONG)}
    return sizes.pop() if default is None and len(sizes) == 1 else default


def test_the_bundle_page_has_the_limits_of_every_precision() -> None:
    """The table of the certificate's limits is that of the constants."""
    page = (ROOT / "docs" / "bundle.md").read_text("utf-8")
    table = page.partition("| | fp32 | fp16 | int8 |\n")[2].partition("\n\n")[0]
    rows = [re.findall(r"\| ([\d.e-]+%?)(?= \|)", line) for line in table.splitlines()[1:]]
    shown = [[float(cell.rstrip("%")) / (100 if "%" in cell else 1) for cell in row] for row in rows]
    limits = TOLERANCES.values()
    assert shown == [
        [limit.max_score_error for limit in limits],
        [limit.min_top10_agreement for limit in limits],
        [limit.max_ndcg_change for limit in limits],
        list(ENCODER_MIN_MEAN_COSINE.values()),
        list(ONLINE_MIN_TOP10_AGREEMENT.values()),
    ]


def test_the_baselines_of_the_pages_are_the_measured_ones() -> None:
    """HR@10 and NDCG@10 of the README's and the page's baselines are those of ``baselines.json``."""
    measured = json.loads((ROOT / "docs/results/baselines.json").read_text("utf-8"))
    page = (ROOT / "docs/results/baselines.md").read_text("utf-8").split("| model ")
    readme = (ROOT / "README.md").read_text("utf-8")
    for data, table in zip(["ml-100k", *measured], [readme, *page[1:4]], strict=True):
        shown = re.findall(
            r"^\| ([\w -]+?) *\| +([\d.]+) \|(?: +[\d.]+-[\d.]+ \|)? +([\d.]+) \|", table, flags=re.MULTILINE
        )
        wanted = {name: (f"{model['HR@10']:.4f}", f"{model['NDCG@10']:.4f}") for name, model in measured[data].items()}
        found = {name: (hit_rate, ndcg) for name, hit_rate, ndcg in shown}
        assert found, data
        assert found.items() <= wanted.items()


def test_the_service_installs_without_torch() -> None:
    """No requirement of the `service`, `cuda` and `online` extras is a training library."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    wanted = " ".join(extras["service"] + extras["cuda"] + extras["online"])
    assert not re.search(r"torch|transformers|peft|optuna|seqrank\[(export|demo|test)", wanted)
