"""What `--help` shows can be copied."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex

import pytest

from model_export.__main__ import COMMANDS


def examples_of(command: str) -> list[list[str]]:
    """Return the words of each example of a command's help, after ``python -m model_export``."""
    text = importlib.import_module(f"model_export.commands.{command}").__doc__ or ""
    _, _, examples = text.partition("Example:\n")
    joined = examples.replace("\\\n", " ")
    return [shlex.split(line) for line in re.findall(r"python -m model_export (.*)", joined)]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_examples_are_commands(command: str) -> None:
    """Each is taken by the parser of the command that it names, line breaks included."""
    for words in examples_of(command):
        parser = argparse.ArgumentParser()
        importlib.import_module(f"model_export.commands.{words[0]}").add_arguments(parser)
        assert parser.parse_args(words[1:])


def test_there_are_examples() -> None:
    """The way of finding them finds them, also one of two lines."""
    assert examples_of("prepare")[0][-2:] == ["--text-columns", "title,brand"]
