"""``docs/operations.md`` says what is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.main import ROUTES
from app.observability.metrics import Metrics
from app.ranking.fallback import Reason
from app.settings import PREFIX, Settings

PAGE = (Path(__file__).parents[3] / "docs" / "operations.md").read_text("utf-8")
ROWS = dict(re.findall(r"^\| `(SEQRANK_\w+)` \|[^|]*\| (.*?) \|", PAGE, flags=re.MULTILINE))


def test_the_table_has_every_setting_and_no_other():
    """Each variable of the settings has its row, in their order."""
    assert list(ROWS) == [PREFIX + name.upper() for name in Settings.model_fields]


@pytest.mark.parametrize("name", Settings.model_fields)
def test_the_description_is_that_of_the_setting(name):
    """What the table says of a variable is what the code says of it."""
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{PREFIX}{name.upper()}` |"))
    assert row.endswith(f"| {Settings.model_fields[name].description} |")


@pytest.mark.parametrize("name", Settings.model_fields)
def test_the_default_is_the_true_one(name):
    """The default in the table is the setting's."""
    default = Settings.model_fields[name].default
    value = default.get_secret_value() if isinstance(default, SecretStr) else default
    shown = ROWS[PREFIX + name.upper()].strip("`")
    if value is None or value == "":
        assert shown == ""
    elif isinstance(value, bool):
        assert shown == str(value).lower()
    elif isinstance(value, int | float):
        assert float(shown) == value
    else:
        assert shown == str(value)


def test_every_variable_that_the_page_names_exists():
    """The prose names no setting that is not there."""
    assert set(re.findall(r"SEQRANK_[A-Z_]+[A-Z]", PAGE)) <= ROWS.keys()


def test_the_page_has_every_reason():
    """The fallback ladder's table has all reasons."""
    assert set(re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.MULTILINE)) >= {str(reason) for reason in Reason}


def test_the_page_has_every_metric():
    """The metrics' table has every name that is exposed with its labels, and only those."""
    metrics = Metrics(reasons=["x"], routes=ROUTES)
    metrics.describe_model(model="m", version="v", precision="p", execution_provider="e")
    for name in ("queue_size", "runs_under_way", "redis_circuit_open", "redis_circuit_opened_total"):
        metrics.watch(name, "", lambda: 0.0)
    exposition = metrics.exposition().decode()
    exposed = {}
    for name in re.findall(r"^# TYPE (seqrank_\w+) ", exposition, flags=re.MULTILINE):
        series = re.search(rf"^{name}(?:_bucket)?(.*) \S+$", exposition, flags=re.MULTILINE)
        exposed[name] = set(re.findall(r"(\w+)=", series[1])) - {"le"}
    table = PAGE.partition("\n## Metrics\n")[2].partition("\n## Settings\n")[0]
    shown = re.findall(r"`(seqrank_\w+)(?:\{([a-z_,]+)\})?`", table)
    assert {name: set(re.findall(r"\w+", labels)) for name, labels in shown} == exposed
