# The commands of the project. `make help` lists them.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' && echo $$p && break; done)
PYTEST_WORKERS ?= auto

.DEFAULT_GOAL := help
.PHONY: help up test check format bench screenshots lock clean

help: ## List the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

up: $(VENV)/.installed ## Install into .venv and start Groupline; prints a link to open
	@exec $(BIN)/groupline up

test: $(VENV)/.installed-dev ## Install what the tests need and run all of them
	@scripts/test-tools
	$(MAKE) --no-print-directory check
	$(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist worksteal $(PYTEST_ARGS)

check: $(VENV)/.installed-dev ## Lint, types, import contracts, templates, locks: seconds
	@scripts/check

format: $(VENV)/.installed-dev ## Format the code and mend what can be mended
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format --quiet .

bench: $(VENV)/.installed-dev ## Measure, as ratios against a floor in the same run
	@scripts/test-tools
	$(BIN)/python -m bench

screenshots: $(VENV)/.installed-dev ## Take the README's picture anew, by the browser tests
	@scripts/test-tools
	GROUPLINE_WRITE_SCREENSHOTS=1 $(BIN)/python -m pytest tests/browser/test_screenshots.py

lock: $(VENV)/.installed-dev ## Resolve the dependencies anew, with hashes
	@scripts/lock $(BIN)/uv --upgrade

clean: ## Remove what was installed and generated
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .test-output

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Groupline needs Python 3.11 or later, and found none."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python requirements.lock pyproject.toml
	@scripts/install $(BIN)/python requirements.lock
	@touch $@

$(VENV)/.installed-dev: $(VENV)/bin/python requirements-dev.lock pyproject.toml
	@scripts/install $(BIN)/python requirements-dev.lock
	@touch $@ $(VENV)/.installed
