# Everything runs from a fresh clone: each target first makes .venv from pyproject.toml and constraints.txt.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
OLDEST := .venv-oldest
OLDEST_TESTS := $(wildcard tests/unit/test_*.py) $(addprefix tests/unit/,_bars _expr _plan _provider _recursion _run _stream reach features) \
	tests/integration/test_real_bars.py
SOURCES := rangebar_enrich tests benches examples
BENCH   := $(BIN)/python -m pytest benches --benchmark-only --benchmark-columns=min,median,iqr,rounds --benchmark-sort=name --quiet
WITH    ?= baseline

.DEFAULT_GOAL := help
.PHONY: help install demo test test-oldest lint types pytest bench bench-quick bench-compare bench-readme fmt clean

help:  ## List targets
	@grep -hE '^[a-z-]+:.*?## ' $(MAKEFILE_LIST) | awk -F':.*?## ' '{printf "  %-14s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not on PATH; set PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

install: $(STAMP)  ## Make .venv with everything in it

demo: $(STAMP)  ## Trades -> Rust bars -> features -> embedded ClickHouse -> table and chart
	$(BIN)/rangebar-enrich demo $(ARGS)

test: lint types pytest  ## Lint, types, all tests, and the bodies of the benchmarks once

pytest: $(STAMP)
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal tests
	$(BIN)/python -m pytest --benchmark-disable -q benches

$(OLDEST)/.installed: pyproject.toml constraints-oldest.txt
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet --constraint constraints-oldest.txt --editable '.[pandas,builder,test]'
	@touch $@

test-oldest: $(OLDEST)/.installed  ## The core's tests on the oldest Polars, pandas, pyarrow and numpy
	$(OLDEST)/bin/python -m pytest --numprocesses auto --dist worksteal $(OLDEST_TESTS)

lint: $(STAMP)  ## ruff: rules and formatting
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

types: $(STAMP)  ## mypy --strict
	$(BIN)/mypy

bench: $(STAMP)  ## Measure side by side, in turns; table, JSON and charts (under 20 minutes)
	$(BENCH) --bench-profile=full $(ARGS)

bench-quick: $(STAMP)  ## The same at small sizes (under 3 minutes)
	$(BENCH) --bench-profile=quick $(ARGS)

bench-compare: $(STAMP)  ## Hold the latest run against a stored one: make bench-compare WITH=baseline
	$(BIN)/python -m benches compare $(WITH)

bench-readme: $(STAMP)  ## Write a stored run's table into README.md: make bench-readme WITH=baseline
	$(BIN)/python -m benches readme $(WITH)

fmt: $(STAMP)  ## Format and mend what ruff can mend
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

clean:  ## Remove what the targets made
	rm -rf $(VENV) $(OLDEST) build dist demo .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
