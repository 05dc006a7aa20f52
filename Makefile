# `make` lists the targets. Everything runs in .venv, which the first target that needs it creates.

PYTHON ?= python3
BIN := .venv/bin
CHAPTERS ?=
TOYCITY := data/toycity
NOTEBOOKS := $(wildcard book/[0-9][0-9]-*.ipynb)
export PYTHONWARNINGS ?= ignore::DeprecationWarning

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup book html execute test lint format listings lock toycity clean

help: ## list the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup: .venv/installed ## create .venv with the pinned packages and this one

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "error: expected Python >= 3.11, found $$($(PYTHON) --version 2>&1): make setup PYTHON=python3.12"; exit 2; }
	@echo "installing into .venv (PyTorch is large: minutes)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

toycity: setup ## generate ToyCity into data/toycity
	@$(BIN)/python scripts/toycity.py $(TOYCITY)

execute: toycity ## execute chapters (CHAPTERS="01 09" for some) and write them back
	@$(BIN)/python scripts/execute_book.py $(CHAPTERS)

html: setup ## build the HTML from the committed notebooks
	@mkdir -p _build
	@$(BIN)/jupyter-book build . -W -n --keep-going -q >_build/html.log 2>&1 || { cat _build/html.log; exit 1; }
	@echo "the book: $(CURDIR)/_build/html/index.html"

book: ## set up, generate ToyCity, execute every chapter, build the HTML
	@$(MAKE) --no-print-directory execute
	@$(MAKE) --no-print-directory html

lint: setup ## ruff, notebooks included; listings and notebooks in their committed form
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/python scripts/fill_listings.py --check
	@$(BIN)/python scripts/tidy_notebooks.py --check

test: lint toycity html ## lint, build with warnings as errors, unit tests, every cell of every chapter
	@$(BIN)/pytest --nbval --nbval-current-env --nbval-cell-timeout=900 -q tests $(NOTEBOOKS)

format: setup ## let ruff mend what it can, refill listings, tidy notebooks
	@$(BIN)/ruff check --fix --quiet || true
	@$(BIN)/ruff format --quiet
	@$(BIN)/python scripts/fill_listings.py
	@$(BIN)/python scripts/tidy_notebooks.py

listings: setup ## refill the chapters' listings from the package
	@$(BIN)/python scripts/fill_listings.py

lock: ## pin the newest versions that pyproject.toml allows
	@$(BIN)/uv pip compile --quiet --universal --all-extras --upgrade --no-annotate --no-emit-index-url \
	  --no-emit-find-links --custom-compile-command "make lock" --output-file requirements.lock pyproject.toml

clean: ## remove what can be made again, except .venv and data
	@rm -rf _build .pytest_cache .ruff_cache
