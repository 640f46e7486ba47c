# Tasks of developers and build machines; `make help` lists them.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Additional arguments, for example for pytest: make test ARGS="-k serial -x"
ARGS ?=
# Test processes: one more than processors, because many tests wait for processes and timers.
WORKERS ?= $(shell expr $$(nproc 2>/dev/null || echo 1) + 1)
SCRIPTS := scripts/demo
# The tests create and sync hundreds of small mirrors; a file system in memory, if there is one, saves minutes.
TEMPORARY := $(shell test -w /dev/shm && echo PYTEST_DEBUG_TEMPROOT=/dev/shm)

.PHONY: help setup system-packages test coverage lint format demo bench rivals torture soak clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24

setup: $(VENV)/.installed ## create or update .venv with the project and its test dependencies

# pip uses the machine's own configuration (index, certificates, find-links).
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("mirrorsync needs Python 3.11 or later; set PYTHON=…" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	@touch $@

system-packages: ## install missing Debian packages that the tests need (nginx, strace, …)
	@scripts/system-packages || echo "Continuing: the tests that need them are skipped." >&2

lint: setup ## ruff, mypy --strict and the layers
	$(BIN)/ruff check . $(SCRIPTS)
	$(BIN)/ruff format --check . $(SCRIPTS)
	$(BIN)/mypy
	$(BIN)/mypy $(SCRIPTS)
	$(BIN)/lint-imports

format: setup ## format the code and sort its imports
	$(BIN)/ruff check --select I --fix . $(SCRIPTS)
	$(BIN)/ruff format . $(SCRIPTS)

test: setup system-packages lint ## lint, then all tests except the long ones
	$(TEMPORARY) $(BIN)/pytest -m "not slow" -n $(WORKERS) --dist worksteal $(ARGS)

# Coverage is not part of `make test`: it makes the tests, and the processes that they start, 1.5 to 1.8 times as slow.
coverage: setup system-packages ## the same tests with a coverage report
	$(TEMPORARY) $(BIN)/pytest -m "not slow" -n $(WORKERS) --dist worksteal --cov=mirrorsync --cov-report=term $(ARGS)

torture: setup system-packages ## the long versions of the tests: random machines, crash points, big trees
	$(TEMPORARY) $(BIN)/pytest -m slow $(ARGS)
	$(BIN)/python -m tests.fuzz

soak: setup system-packages ## the daemon under faults for 15 minutes, and a report: ARGS="--minutes 3 --seed 7"
	$(BIN)/python -m tests.soak $(ARGS)

demo: setup ## mirror five small projects from the real index into ./demo, verify, install from it
	$(BIN)/python scripts/demo

bench: setup system-packages ## compare with bandersnatch and curl, and print the ratios
	$(BIN)/python -m bench.run $(ARGS)

rivals: setup ## play tests/field against bandersnatch and shadowmire: ARGS="--python python3.13 --shadowmire CHECKOUT"
	$(BIN)/python -m bench.rivals $(ARGS)

clean: ## remove caches, coverage and ./demo (but not .venv)
	rm -rf demo build dist htmlcov .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.*
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
