# Everything a developer or a build machine does; `make help` lists it.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One more argument list for pytest: make test ARGS="-k serial -x"
ARGS ?=
SCRIPTS := scripts/demo
# Hundreds of small mirrors are made and synced to the disk: in memory that is minutes less, where there is such a place.
TEMPORARY := $(shell test -w /dev/shm && echo PYTEST_DEBUG_TEMPROOT=/dev/shm)

.PHONY: help setup system-packages test lint format demo bench rivals torture soak clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24

setup: $(VENV)/.installed ## make .venv with the project and its tests' libraries, when that is out of date

# pip's own configuration (index, certificates, find-links) is the machine's business and stays in force.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("mirrorsync needs Python 3.11 or later; say which with PYTHON=…" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	@touch $@

system-packages: ## install what the tests need from Debian (nginx, strace, …), when something is missing
	@scripts/system-packages || echo "Going on without: the tests that need them are skipped and say so." >&2

lint: setup ## ruff, mypy --strict and the layers
	$(BIN)/ruff check . $(SCRIPTS)
	$(BIN)/ruff format --check . $(SCRIPTS)
	$(BIN)/mypy
	$(BIN)/mypy $(SCRIPTS)
	$(BIN)/lint-imports

format: setup ## format the code and sort its imports
	$(BIN)/ruff check --select I --fix . $(SCRIPTS)
	$(BIN)/ruff format . $(SCRIPTS)

test: setup system-packages lint ## lint, then every test but the long ones, with coverage
	$(TEMPORARY) $(BIN)/pytest -m "not slow" -n 2 --dist worksteal --cov=mirrorsync --cov-report=term $(ARGS)

torture: setup system-packages ## the long versions of the tests: random machines, crash points, big trees
	$(TEMPORARY) $(BIN)/pytest -m slow $(ARGS)
	$(BIN)/python -m tests.fuzz

soak: setup system-packages ## a quarter of an hour of the daemon under every trouble, and a report: ARGS="--minutes 3 --seed 7"
	$(BIN)/python -m tests.soak $(ARGS)

demo: setup ## mirror five small projects from the real index into ./demo, prove it, install from it
	$(BIN)/python scripts/demo

bench: setup system-packages ## run side by side with bandersnatch and curl, and print the ratios
	$(BIN)/python -m bench.run $(ARGS)

rivals: setup ## play tests/field against bandersnatch and shadowmire, for real: ARGS="--python python3.13 --shadowmire CHECKOUT"
	$(BIN)/python -m bench.rivals $(ARGS)

clean: ## remove what can be made again: caches, coverage, ./demo (.venv stays)
	rm -rf demo build dist htmlcov .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.*
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
