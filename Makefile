# Everything a clone needs: Python >= 3.11 with pip, make and git. `make` lists what there is.

PYTHON ?= python3
VENV ?= .venv
# Tests run on all cores, at most eight: each worker pays for importing the cloud SDKs.
WORKERS ?= auto
PYTEST_ARGS ?=

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-from-lock
CODE := gpuctl tests benchmarks docs examples
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help venv demo test check lint types contracts fmt docs docs-check bench faults images lock clean

help: ## list these targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

venv: $(STAMP) ## make .venv from requirements.lock (again when the lock or pyproject.toml changes)

# A venv without pip is half made (python3-venv was missing): begin it again.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "gpuctl needs Python 3.11 or later; name one with: make PYTHON=python3.12")'
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(PIP) install --quiet --require-hashes -r requirements.lock
	$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $@

demo: venv ## a working day on two emulated clouds: no account, no cost
	@$(BIN)/gpuctl sandbox demo

check: lint types contracts docs-check test ## everything that must pass before a commit

test: venv ## all tests, and branch coverage of core and app of at least 95 %
	$(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 8 --dist loadfile --cov --cov-report= $(PYTEST_ARGS)
	@$(BIN)/coverage report --include='gpuctl/core/*' --skip-covered --fail-under=95
	@$(BIN)/coverage report --include='gpuctl/app/*' --skip-covered --fail-under=95

lint: venv ## ruff: rules and format
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)

types: venv ## mypy, strict
	$(BIN)/mypy

contracts: venv ## import-linter: who may import whom
	$(BIN)/lint-imports --no-logo

fmt: venv ## let ruff format and repair
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

docs: venv ## write again what is made from the code: docs/cli.md, docs/config.md, schemas, README's transcript
	$(BIN)/python docs/generate.py

docs-check: venv ## fail when a generated page is stale
	$(BIN)/python docs/generate.py --check

bench: venv ## measure start-up against bare imports; prints a table, never fails
	@$(BIN)/python -m benchmarks

faults: venv ## kill, cut off and starve gpuctl in every place there is, about an hour; writes docs/reliability.md
	@$(BIN)/python -m tests.faults

images: venv ## run the steps of image recipes, twice, in a fresh Debian root (as root, with debootstrap; minutes), and broken-off builds
	@IMAGE_STEPS=1 $(BIN)/python -m pytest tests/images -q

lock: ## write requirements.lock anew from pyproject.toml (needs uv)
	uv pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 --upgrade \
		--generate-hashes --no-emit-index-url --no-annotate --no-header --quiet --output-file requirements.lock

clean: ## remove caches and build outputs; the venv stays
	rm -rf .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
