# Everything runs from a fresh clone: each target first makes the environment that it needs.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
DEMO   := $(VENV)/.installed-demo
OLDEST := .venv-oldest
WHEEL  := .venv-wheel
OTHER  := .venv-$(notdir $(PYTHON))
SOURCES := rangebar_enrich tests benches examples
PYTEST  := $(BIN)/python -m pytest --numprocesses auto --dist worksteal
BENCH   := $(BIN)/python -m pytest benches --benchmark-only --benchmark-columns=min,median,iqr,rounds --benchmark-sort=name --quiet
WITH    ?= baseline
MINUTES ?= 10
# What needs no database, command or chart: it runs on other versions, and on a bare wheel.
CORE := $(wildcard tests/unit/test_*.py tests/unit/_*) tests/unit/reach tests/unit/features tests/integration/test_real_bars.py

.DEFAULT_GOAL := help
.PHONY: help install demo test test-all test-oldest test-wheel test-core fuzz coverage lint types quick all-tests \
	build bench bench-quick bench-compare bench-readme fmt clean

help:  ## List targets
	@grep -hE '^[a-z-]+:.*?## ' $(MAKEFILE_LIST) | awk -F':.*?## ' '{printf "  %-14s %s\n", $$1, $$2}'

$(DEMO): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not on PATH; set PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[all]'
	@touch $@

$(STAMP): $(DEMO)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

install: $(STAMP)  ## Make .venv with everything in it

demo: $(DEMO)  ## Trades -> Rust bars -> features -> embedded ClickHouse -> table and chart
	$(BIN)/rangebar-enrich demo $(ARGS)

test: lint  ## Lint, types and the tests that are quick: what every commit must pass
	@$(MAKE) --no-print-directory -j2 types quick

test-all: lint  ## The same with every example and the slow tests, and the bodies of the benchmarks once
	@$(MAKE) --no-print-directory -j2 types all-tests

quick: $(STAMP)
	$(PYTEST) -m "not slow" tests

all-tests: $(STAMP)
	$(BIN)/python -m pytest --benchmark-disable -q benches
	$(PYTEST) --hypothesis-profile=full tests

fuzz: $(STAMP)  ## The properties with fresh seeds, until something is found: make fuzz MINUTES=10
	$(BIN)/python tests/fuzz.py $(MINUTES) $(SEED)

$(OLDEST)/.installed: pyproject.toml constraints-oldest.txt
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet --constraint constraints-oldest.txt --editable '.[pandas,builder,test]'
	@touch $@

test-oldest: $(OLDEST)/.installed  ## The core's tests on the oldest Polars, pandas, pyarrow and numpy
	$(OLDEST)/bin/python -m pytest --numprocesses auto --dist worksteal -m "not slow" $(CORE)

$(OTHER)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(OTHER)
	$(OTHER)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[pandas,builder,test]'
	@touch $@

test-core: $(OTHER)/.installed  ## The core's tests on another Python: make test-core PYTHON=python3.13
	$(OTHER)/bin/python -m pytest --numprocesses auto --dist worksteal -m "not slow" $(CORE)

build: $(STAMP)  ## Source distribution and wheel, into dist/
	rm -rf dist
	$(BIN)/python -m hatchling build

test-wheel: build  ## The wheel alone in a clean environment: no extras, no checkout on the path
	$(PYTHON) -m venv --clear $(WHEEL)
	$(WHEEL)/bin/python -m pip install --quiet --constraint constraints.txt dist/*.whl
	$(WHEEL)/bin/python -I tests/smoke.py
	$(WHEEL)/bin/python -m pip install --quiet --constraint constraints.txt hypothesis pytest pytest-timeout pytest-xdist
	$(WHEEL)/bin/pytest --numprocesses auto --dist worksteal -m "not slow" $(CORE)

coverage: $(STAMP)  ## 100 % of lines in plans, runs, streams and windows, 92 % overall; says where it is short
	$(PYTEST) --cov --cov-report=json:.coverage.json --hypothesis-profile=full tests
	$(BIN)/python tests/coverage_gate.py .coverage.json

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
	rm -rf .venv .venv-* build dist demo .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
