# `make` lists the targets. Everything runs in .venv, which the first target that needs it creates.

PYTHON ?= python3
BIN := .venv/bin
CHAPTERS ?=
TOYCITY := data/toycity
# chapter 13's own run; removed first, so that the chapter always trains the code as it is
LIVE := runs/chapter-13
NOTEBOOKS := $(wildcard book/[0-9][0-9]-*.ipynb)
SOURCES := $(wildcard book/assignments/source/*/*.ipynb)
SUBMISSIONS ?= submissions

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup book html site execute test lint format lock toycity benchmark assignments grade clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/installed ## create .venv with the pinned packages and this one

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: expected Python >= 3.11, found $$($(PYTHON) --version 2>&1); try make setup PYTHON=python3.12" >&2; exit 2; }
	@echo "installing into .venv (PyTorch is large; this takes some minutes)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

book: execute html ## everything for the reader: ToyCity, every chapter executed, the HTML

toycity: setup ## generate ToyCity into data/toycity
	@$(BIN)/python scripts/toycity.py $(TOYCITY)

execute: toycity ## execute the chapters and write them back (some: CHAPTERS="01 09")
	@rm -rf $(LIVE)
	@$(BIN)/python scripts/execute_book.py $(CHAPTERS)

html: setup ## build the HTML from the notebooks as they are; warnings are errors
	@mkdir -p _build
	@$(BIN)/jupyter-book build . -W -n --keep-going -q > _build/html.log 2>&1 || { cat _build/html.log; exit 1; }
	@echo "the book is in $(CURDIR)/_build/html/index.html"

site: html ## the HTML, and from it a PDF and a zip for other computers (needs Chromium)
	@$(BIN)/python scripts/publish.py

test: lint toycity html ## lint, HTML, unit tests, and every cell of every chapter compared
	@rm -rf $(LIVE)
	@$(BIN)/pytest -q --nbval --nbval-current-env --nbval-cell-timeout=900 tests $(NOTEBOOKS)

lint: setup ## ruff on code and notebooks
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet

format: setup ## let ruff mend what it can, refill the listings, tidy the notebooks
	@$(BIN)/ruff check --fix --quiet || true
	@$(BIN)/ruff format --quiet
	@$(BIN)/python scripts/fill_listings.py
	@$(BIN)/python scripts/tidy_notebooks.py
	@$(BIN)/python scripts/tidy_notebooks.py $(SOURCES)

lock: setup ## pin the newest versions that pyproject.toml allows
	@$(BIN)/uv pip compile --quiet --universal --all-extras --upgrade --no-annotate --no-emit-index-url \
	  --no-emit-find-links --custom-compile-command "make lock" --output-file requirements.lock pyproject.toml

assignments: setup ## make the students' notebooks out of the sources, and prove that they are fair
	@$(BIN)/python scripts/course.py release
	@$(BIN)/python scripts/course.py check

grade: setup ## grade a folder of submissions (SUBMISSIONS=folder)
	@$(BIN)/python scripts/course.py grade "$(SUBMISSIONS)"

benchmark: setup ## measure speed and memory on an idle machine, into book/results/benchmark
	@$(BIN)/python scripts/benchmark.py

clean: ## remove what can be made again, except .venv and data
	@rm -rf _build .pytest_cache .ruff_cache
