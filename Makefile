# Seqrank. `make` or `make help` lists the targets; each line's text comes from its own `##` comment.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: help install demo test check fix clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(INSTALLED): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Seqrank needs Python 3.11 or newer, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@# without --no-compile half of the time goes into byte code of modules that are never imported
	$(BIN)/python -m pip install --quiet --no-compile torch==2.13.0
	$(BIN)/python -m pip install --quiet --no-compile --editable '.[test]'
	touch $@

install: $(INSTALLED) ## make .venv with everything the demo and the tests need

demo: $(INSTALLED) ## the tour, two to six minutes once installed: simulate, fine-tune, export, serve, rank, click, rank again (DEMO_EXIT=1 ends there)
	$(BIN)/python -m model_export.demo

check: $(INSTALLED) ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: $(INSTALLED) check ## every check and every test
	$(BIN)/python -m pytest

fix: $(INSTALLED) ## let ruff mend what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove build results and caches, keep .venv
	rm -rf build .pytest_cache .mypy_cache .ruff_cache .hypothesis
